"""Trains minnow. Resumable; the schedule follows the clock, because the machine may be shared.

    train.py --tokenizer DIR --out DIR --minutes 75 [--resume FILE]
"""

import argparse
import contextlib
import json
import math
import multiprocessing
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import config
import data
import measure
import model as models
import quant


def stored_form(name, p):
    """The weight as its stored format holds it: FP4 experts, FP8 matrices, BF16 or F32 rest."""
    if ".experts." in name:
        return quant.fake_fp4(p)
    if ".shared." in name:
        return quant.fake_fp8(p[0])[None]
    if name.endswith("weight") and p.dim() == 2 and not bf16_matrix(name):
        return quant.fake_fp8(p)
    if name in ("embed", "head") or name.endswith("weight"):
        return p.bfloat16().float()
    return p


def bf16_matrix(name):
    return any(part in name for part in ("compressor.", "weights_proj", "gate."))


@contextlib.contextmanager
def stored_weights(net):
    """Runs with stored weights in place; gradients then apply to the masters (straight-through)."""
    masters = {}
    with torch.no_grad():
        for name, p in net.named_parameters():
            masters[name] = p.data
            p.data = stored_form(name, p.data).contiguous()
    try:
        yield
    finally:
        for name, p in net.named_parameters():
            p.data = masters[name]


class Muon:
    """Momentum, orthogonalised by Newton-Schulz; equal shapes go through together."""

    def __init__(self, named, momentum=0.95):
        groups = {}
        for _, p in named:
            groups.setdefault(tuple(p.shape[-2:]), []).append(p)
        self.groups, self.momentum = list(groups.values()), momentum
        self.buffers = [[torch.zeros_like(p) for p in g] for g in self.groups]

    @torch.no_grad()
    def step(self, lr, decay):
        for group, buffers in zip(self.groups, self.buffers):
            updates = []
            for p, buffer in zip(group, buffers):
                grad = p.grad if p.grad is not None else torch.zeros_like(p)
                buffer.lerp_(grad, 1 - self.momentum)
                updates.append(grad.lerp(buffer, self.momentum).reshape(-1, *p.shape[-2:]))
            o = orthogonal(torch.cat(updates))
            scale = max(1.0, o.shape[-2] / o.shape[-1]) ** 0.5
            for p, u in zip(group, o.split([u.shape[0] for u in updates])):
                p.mul_(1 - lr * decay).add_(u.view(p.shape), alpha=-lr * scale)


def orthogonal(g, steps=5):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).float()


def produce(queue, args, lines, start):
    """Data process: batches as numpy arrays with the index to resume from."""
    torch.set_num_threads(1)
    stream = data.Stream(data.Encoder(args.tokenizer / "tokenizer.json"), args.seed, args.tokens,
                         args.lengths, lines, start=start)
    while True:
        ids, weights = stream.next()
        queue.put((ids.numpy(), weights.numpy(), stream.index))


def make_view(shape, length, rng, rich):
    """Half of the passes see a shorter window and shifted positions, so that the compressed rows
    must carry what the window cannot, at any distance."""
    window, positions = shape["sliding_window"], torch.arange(length)
    if rich and rng.random() < 0.5:
        window = rng.randint(8, 64)
    view = models.View(shape, length, window=window, index_loss=True, topk=length)
    if rich and rng.random() < 0.4:
        cut, jump = rng.randrange(length), int(2 ** rng.uniform(5, 15))
        positions = positions + (positions >= cut) * jump
        view.turns[1] = models.cis(positions, models.frequencies(shape, True))
    return view


def losses(net, view, ids, weights, with_draft):
    x, kl, loads = net.trunk(ids, view)
    logits = net.logits(x)
    ce = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    w = weights[:, 1:].flatten()
    main = (ce * w).sum() / w.sum()
    draft = None
    if with_draft:
        guess, load = net.draft(x, ids.roll(-1, 1), view)
        ce = F.cross_entropy(guess[:, :-2].flatten(0, 1), ids[:, 2:].flatten(), reduction="none")
        w2 = weights[:, 2:].flatten()
        draft = (ce * w2).sum() / w2.sum()
        loads = loads + [load]
    return main, kl, draft, loads


def schedule(progress):
    """Constant, then a straight line down over the last 45 %."""
    return 1.0 if progress < 0.55 else max(0.03, (1.0 - progress) / 0.45)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", choices=config.SIZES, default="cpu")
    parser.add_argument("--minutes", type=float, default=75)
    parser.add_argument("--seed", default="minnow-1")
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--lengths", type=int, nargs="*", default=[128, 256, 512])
    parser.add_argument("--text", type=Path, nargs="*", default=[])
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--progress", type=float, default=0.0, help="where the schedule starts")
    parser.add_argument("--quantise-from", type=float, default=0.6)
    parser.add_argument("--measure-minutes", type=float, default=8)
    parser.add_argument("--no-compile", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    torch.set_num_threads(2)
    shape = config.SIZES[args.size]
    net = models.Minnow(shape)
    start, seen, step = 0, 0, 0
    if args.resume:
        saved = torch.load(args.resume)
        net.load_state_dict(saved["model"])
        start, seen, step = saved["index"], saved["tokens"], saved["step"]
    matrices = [(n, p) for n, p in net.named_parameters()
                if p.dim() >= 2 and n.endswith(("weight", "w1", "w2", "w3")) and ".gate." not in n]
    names = {n for n, _ in matrices}
    muon = Muon(matrices)
    rest = [p for n, p in net.named_parameters() if n not in names]
    adam = torch.optim.AdamW(rest, lr=1.0, betas=(0.9, 0.95), weight_decay=0.0)
    if args.resume and "muon" in saved:
        muon.buffers = saved["muon"]
        adam.load_state_dict(saved["adam"])
    if not args.no_compile:
        for block in list(net.layers) + [net.mtp.block]:
            block.compile_parts()
    lines = [s.strip() + "." for p in args.text for s in p.read_text().replace("\n", " ").split(".")
             if 8 < len(s.strip()) < 90]
    queue = multiprocessing.get_context("fork").Queue(6)
    producer = multiprocessing.get_context("fork").Process(
        target=produce, args=(queue, args, lines, start), daemon=True)
    producer.start()
    log = (args.out / "log.jsonl").open("a")
    began, last_measure, last_save = time.time(), time.time(), time.time()
    window_loss, window_start, first, first_step = [], time.time(), seen, step
    encoder = data.Encoder(args.tokenizer / "tokenizer.json")

    def note(**fields):
        fields = {"step": step, "tokens": seen, "minutes": (time.time() - began) / 60, **fields}
        log.write(json.dumps(fields) + "\n")
        log.flush()

    def save(index):
        torch.save({"model": net.state_dict(), "muon": muon.buffers, "adam": adam.state_dict(),
                    "index": index, "tokens": seen, "step": step}, args.out / "checkpoint.new")
        (args.out / "checkpoint.new").rename(args.out / "checkpoint.pt")

    while True:
        progress = args.progress + (1 - args.progress) * (time.time() - began) / (60 * args.minutes)
        if progress >= 1:
            break
        ids, weights, index = queue.get()
        ids, weights = torch.from_numpy(ids), torch.from_numpy(weights)
        rng = random.Random(f"view/{args.seed}/{step}")
        view = make_view(shape, ids.shape[1], rng, step > 300)
        quantised = progress >= args.quantise_from
        with stored_weights(net) if quantised else contextlib.nullcontext():
            main_loss, kl, draft, loads = losses(net, view, ids, weights, step % 4 == 0)
            total = main_loss + 0.2 * kl + (0.3 * draft if draft is not None else 0.0)
            total.backward()
        lr = schedule(progress) * min(1.0, (step - first_step + 1) / 60)
        if math.isfinite(total.item()):
            torch.nn.utils.clip_grad_norm_(rest, 1.0)
            for group in adam.param_groups:
                group["lr"] = 0.003 * lr
            adam.step()
            muon.step(0.02 * lr, 0.02)
            for block, load in zip(list(net.layers) + [net.mtp.block], loads):
                block.ffn.gate.balance(load, 0.003 * lr)
        net.zero_grad(set_to_none=True)
        step += 1
        seen += ids.numel()
        window_loss.append((main_loss.item(), float(kl), draft.item() if draft is not None else None))
        if step % 25 == 0:
            drafts = [d for _, _, d in window_loss if d is not None]
            note(loss=sum(m for m, _, _ in window_loss) / len(window_loss),
                 kl=sum(k for _, k, _ in window_loss) / len(window_loss),
                 draft=sum(drafts) / max(1, len(drafts)), lr=lr, quantised=quantised,
                 speed=(seen - first) / (time.time() - window_start))
            window_loss, window_start, first = [], time.time(), seen
        if time.time() - last_measure > 60 * args.measure_minutes:
            with stored_weights(net):
                note(accuracy=measure.quick(net, encoder, args.lengths, args.tokens, count=32))
            last_measure = window_start = time.time()
            first = seen
        if time.time() - last_save > 240:
            save(index)
            last_save = time.time()
    save(index)
    with stored_weights(net):
        note(accuracy=measure.quick(net, encoder, args.lengths, args.tokens, count=100))
    producer.terminate()


if __name__ == "__main__":
    main()
