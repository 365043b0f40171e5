"""Trains minnow. Resumable; the schedule follows the clock, because the machine may be shared.

    train.py --tokenizer DIR --out DIR --minutes 75 [--resume FILE]
"""

import argparse
import contextlib
import json
import multiprocessing
import random
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F

import config
import data
import evaluate
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
                buffer.lerp_(p.grad, 1 - self.momentum)
                updates.append(p.grad.lerp(buffer, self.momentum).reshape(-1, *p.shape[-2:]))
            o = orthogonal(torch.cat(updates))
            scale = max(1.0, o.shape[-2] / o.shape[-1]) ** 0.5
            for p, u in zip(group, o.split([u.shape[0] for u in updates])):
                p.mul_(1 - lr * decay).add_(u.view(p.shape), alpha=-lr * scale)


def orthogonal(g, steps=5):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.to(models.Precision.dtype)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).float()


def produce(queue, args, rank, lines, start):
    """Data process: batches as numpy arrays with the index to resume from."""
    torch.set_num_threads(1)
    stream = data.Stream(data.Encoder(args.tokenizer / "tokenizer.json"), f"{args.seed}/{rank}",
                         args.tokens, args.lengths, lines, args.early, start)
    while True:
        ids, weights, links = stream.next()
        queue.put((ids.numpy(), weights.numpy(), links.numpy(), stream.index))


def make_view(shape, length, rng, rich, index_loss=False):
    """A third of the passes see a shorter window and shifted positions, so that the compressed rows
    must carry what the window cannot, at any distance."""
    window, positions = shape["sliding_window"], torch.arange(length)
    if rich and rng.random() < 0.35:
        window = rng.randint(8, 64)
    view = models.View(shape, length, window=window, index_loss=index_loss, topk=length)
    if rich and rng.random() < 0.3:
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


def schedule(progress, peak, decay_from):
    """Constant at `peak`, then a straight line down to a thirtieth of it."""
    fall = max(0.0, (progress - decay_from) / (1.0 - decay_from))
    return peak * max(1 / 30, 1.0 - fall)


class Peers:
    """Two processes of one thread each, in step: on a shared machine that beats two threads, which
    would wait for each other at every operation."""

    def __init__(self, rank, world, path):
        self.rank, self.world = rank, world
        if world > 1:
            dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=world)

    def mean(self, tensors):
        if self.world == 1:
            return
        flat = torch.cat([t.flatten() for t in tensors])
        dist.all_reduce(flat)
        flat /= self.world
        for t, part in zip(tensors, flat.split([t.numel() for t in tensors])):
            t.copy_(part.view(t.shape))

    def share(self, values):
        """Rank 0's values, everywhere."""
        flat = torch.tensor(values, dtype=torch.float64)
        if self.world > 1:
            dist.broadcast(flat, 0)
        return flat.tolist()

    def wait(self):
        if self.world > 1:
            dist.barrier()


def warm_up(net, shape, args):
    """Compiles every shape that training will meet."""
    for length in args.lengths[:1] if not args.compile_attention else args.lengths:
        ids = torch.randint(3, shape["vocab_size"], (args.tokens // length, length))
        for _ in range(2):
            view = make_view(shape, length, random.Random(0), True, length >= 512)
            main_loss, kl, draft, _ = losses(net, view, ids, torch.ones(ids.shape), True)
            (main_loss + kl + draft).backward()
            net.zero_grad(set_to_none=True)


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", choices=config.SIZES, default="cpu")
    parser.add_argument("--minutes", type=float, default=75)
    parser.add_argument("--seed", default="minnow-1")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=1024, help="per process and step")
    parser.add_argument("--lengths", type=int, nargs="*", default=[128, 256, 512, 1024])
    parser.add_argument("--text", type=Path, nargs="*", default=[])
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--start-from", type=Path, help="an exported model, for its weights alone")
    parser.add_argument("--link-weight", type=float, default=0.2)
    parser.add_argument("--products", choices=["bfloat16", "float32"], default="bfloat16",
                        help="bfloat16 where the CPU multiplies it")
    parser.add_argument("--progress", type=float, default=0.0, help="where the schedule starts")
    parser.add_argument("--peak", type=float, default=1.0, help="times 0.02 (Muon), 0.003 (Adam)")
    parser.add_argument("--decay-from", type=float, default=0.55)
    parser.add_argument("--warm-steps", type=int, default=60)
    parser.add_argument("--quantise-from", type=float, default=0.6)
    parser.add_argument("--measure-minutes", type=float, default=10)
    parser.add_argument("--early", type=int, default=9000, help="dialogues of the short first phase")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--cached", action="store_true", help="compiled code is already cached")
    parser.add_argument("--compile-attention", action="store_true")
    return parser.parse_args()


class Trainer:
    def __init__(self, args, peers):
        self.args, self.peers, self.shape = args, peers, config.SIZES[args.size]
        torch.manual_seed(1)
        torch.set_num_threads(1)
        self.net = models.Minnow(self.shape)
        self.index, self.seen, self.step = 0, 0, 0
        named = list(self.net.named_parameters())
        matrices = [(n, p) for n, p in named
                    if p.dim() >= 2 and n.endswith(("weight", "w1", "w2", "w3")) and ".gate." not in n]
        names = {n for n, _ in matrices}
        self.muon = Muon(matrices)
        self.rest = [p for n, p in named if n not in names]
        self.adam = torch.optim.AdamW(self.rest, lr=1.0, betas=(0.9, 0.95), weight_decay=0.0)
        if args.start_from:
            self.net.load_state_dict(evaluate.load(args.start_from).state_dict())
        if args.resume:
            self.load(args.resume)
        models.Precision.dtype = getattr(torch, args.products)
        self.first_step = self.step
        self.blocks = list(self.net.layers) + [self.net.mtp.block]
        if not args.no_compile:
            for block in self.blocks:
                block.compile_parts(args.compile_attention)
        self.encoder = data.Encoder(args.tokenizer / "tokenizer.json")
        self.log = (args.out / "log.jsonl").open("a")
        self.began = time.time()
        self.recent, self.recent_links = [], []

    def load(self, path):
        saved = torch.load(path)
        self.net.load_state_dict(saved["model"])
        self.index, self.seen, self.step = saved["index"], saved["tokens"], saved["step"]
        self.muon.buffers = saved["muon"]
        self.adam.load_state_dict(saved["adam"])

    def save(self):
        if self.peers.rank:
            return
        state = {"model": self.net.state_dict(), "muon": self.muon.buffers,
                 "adam": self.adam.state_dict(), "index": self.index, "tokens": self.seen,
                 "step": self.step}
        torch.save(state, self.args.out / "checkpoint.new")
        (self.args.out / "checkpoint.new").rename(self.args.out / "checkpoint.pt")

    def note(self, **fields):
        if self.peers.rank:
            return
        fields = {"step": self.step, "tokens": self.seen,
                  "minutes": (time.time() - self.began) / 60, **fields}
        self.log.write(json.dumps(fields) + "\n")
        self.log.flush()

    def measure(self, count):
        with stored_weights(self.net):
            right = measure.quick(self.net, self.encoder, self.args.lengths, self.args.tokens, count,
                                  f"held-out-{self.peers.rank}")
        self.peers.mean([right])
        self.note(accuracy=measure.named(right))

    def train_step(self, ids, weights, links, quantised, rate):
        rng = random.Random(f"view/{self.args.seed}/{self.step}/{self.peers.rank}")
        view = make_view(self.shape, ids.shape[1], rng, self.step > 500, ids.shape[1] >= 512)
        view.links = links
        with stored_weights(self.net) if quantised else contextlib.nullcontext():
            with_draft = self.step % 8 == 0
            main, kl, draft, loads = losses(self.net, view, ids, weights, with_draft)
            total = main + 0.2 * kl + self.args.link_weight * view.link_loss
            total = total + (0.3 * draft if with_draft else 0.0)
            total.backward()
        for p in self.net.parameters():
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        grads = [p.grad for p in self.net.parameters()]
        self.peers.mean(grads + loads)
        if all(bool(g.isfinite().all()) for g in grads):
            torch.nn.utils.clip_grad_norm_(self.rest, 1.0)
            for group in self.adam.param_groups:
                group["lr"] = 0.003 * rate
            self.adam.step()
            self.muon.step(0.02 * rate, 0.02)
            for block, load in zip(self.blocks, loads):
                block.ffn.gate.balance(load, 0.003 * rate)
        self.net.zero_grad(set_to_none=True)
        self.step += 1
        self.seen += ids.numel() * self.peers.world
        if len(links):
            self.recent_links.append(view.link_loss.item())
        self.recent.append((main.item(), float(kl.detach()), draft.item() if with_draft else None))

    def run(self, queue):
        args = self.args
        last_measure, last_save, mark = time.time(), time.time(), (time.time(), self.seen)
        while True:
            elapsed = (time.time() - self.began) / (60 * args.minutes)
            progress, measuring, saving = self.peers.share([
                args.progress + (1 - args.progress) * elapsed,
                time.time() - last_measure > 60 * args.measure_minutes,
                time.time() - last_save > 180])
            if progress >= 1:
                break
            ids, weights, links, self.index = queue.get()
            quantised = progress >= args.quantise_from
            warm = min(1.0, (self.step - self.first_step + 1) / args.warm_steps)
            rate = warm * schedule(progress, args.peak, args.decay_from)
            self.train_step(*map(torch.from_numpy, (ids, weights, links)), quantised, rate)
            if self.step % 25 == 0:
                drafts = [d for _, _, d in self.recent if d is not None]
                self.note(loss=sum(m for m, _, _ in self.recent) / len(self.recent),
                          kl=sum(k for _, k, _ in self.recent) / len(self.recent),
                          draft=sum(drafts) / max(1, len(drafts)), rate=rate, quantised=quantised,
                          link=sum(self.recent_links) / max(1, len(self.recent_links)),
                          speed=(self.seen - mark[1]) / (time.time() - mark[0]))
                self.recent, self.recent_links, mark = [], [], (time.time(), self.seen)
            if saving:
                self.save()
                last_save = time.time()
            if measuring:
                self.measure(32)
                last_measure, mark = time.time(), (time.time(), self.seen)
        self.save()
        self.measure(50)


def work(rank, args):
    meeting = args.out / "meeting"
    peers = Peers(rank, args.processes, meeting)
    trainer = Trainer(args, peers)
    lines = [s.strip() + "." for p in args.text for s in p.read_text().replace("\n", " ").split(".")
             if 8 < len(s.strip()) < 90]
    queue = multiprocessing.get_context("fork").Queue(6)
    producer = multiprocessing.get_context("fork").Process(
        target=produce, args=(queue, args, rank, lines, trainer.index), daemon=True)
    producer.start()
    if not args.no_compile:  # one after the other: the second finds the first one's code cached
        for turn in range(args.processes):
            if turn == rank or args.cached:
                warm_up(trainer.net, trainer.shape, args)
            if args.cached:
                break
            peers.wait()
    peers.wait()
    trainer.began = time.time()
    trainer.run(queue)
    peers.wait()
    producer.kill()


def main():
    args = options()
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "meeting").unlink(missing_ok=True)
    others = [multiprocessing.get_context("spawn").Process(target=work, args=(rank, args))
              for rank in range(1, args.processes)]
    for process in others:
        process.start()
    work(0, args)


if __name__ == "__main__":
    main()
