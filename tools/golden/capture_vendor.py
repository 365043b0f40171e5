#!/usr/bin/env python3
"""Captures the `vendor` golden vectors: the published reference run on the CPU with `vendor_kernels`.

    capture_vendor.py --reference DIR [--out tests/golden] [--measure]

DIR holds the published `inference/model.py` (revision of June 2026, `kernel.py` beside it is not used). Nothing of it is
copied. --measure also prints how far other orders of summation and missing roundings move the result.
"""

import argparse
import dataclasses
import importlib
import math
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import vendor_kernels
from official import base_config, tensor_list, random_tensor, write_checkpoint

SEED, LENGTH, PREFILL = 20267, 33, 21
ROUTER_MARGIN, INDEX_MARGIN = 0.02, 0.03  # the latter as a share of the token's score range
BRANCH_GAIN = 0.05  # size of a sublayer's output beside the streams: small, so that a flipped digit dies out
CHAIN = range(0, LENGTH - 1, 3)  # candidates for two-step drafts
CLEAR = 3e-4  # a token is kept if other orders of summation move its logits by less (share of the largest)
ORDERS = [dict(order="library", seed=s) for s in range(8)] + [dict(order="chain")]

CONFIG = dict(
    vocab_size=256, hidden_size=128, num_hidden_layers=3, num_attention_heads=2, head_dim=128, qk_rope_head_dim=64,
    q_lora_rank=128, o_groups=2, o_lora_rank=128, moe_intermediate_size=128, n_routed_experts=4,
    num_experts_per_tok=2, num_hash_layers=1, routed_scaling_factor=1.5, swiglu_limit=1.5, sliding_window=12,
    compress_ratios=[0, 4, 8, 0], index_n_heads=2, index_head_dim=128, index_topk=4, num_nextn_predict_layers=1,
    expert_dtype="fp4",
    quantization_config=dict(activation_scheme="dynamic", fmt="e4m3", quant_method="fp8", scale_fmt="ue8m0",
                             weight_block_size=[128, 128]))


def fp8_pair(shape, gain, generator):
    """E4M3 codes and one E8M0 byte per 128×128; neighbouring blocks differ in size, so a misplaced scale shows."""
    rows, cols = shape
    w = torch.randn(shape, generator=generator) * (gain / math.sqrt(cols))
    grow = torch.randint(-1, 2, (rows // 128, cols // 128), generator=generator).float().exp2()
    w = w * grow.repeat_interleave(128, 0).repeat_interleave(128, 1)
    amax = w.unflatten(0, (-1, 128)).unflatten(-1, (-1, 128)).abs().amax((1, 3))
    scale = vendor_kernels.power_of_two_scale(amax, 1.0 / vendor_kernels.E4M3_MAX)
    spread = scale.repeat_interleave(128, 0).repeat_interleave(128, 1)
    return (w / spread).to(torch.float8_e4m3fn), scale.to(torch.float8_e8m0fnu)


def fp4_pair(shape, gain, generator):
    """Uniform E2M1 codes, two per byte, and one E8M0 byte per row and 32 columns."""
    rows, cols = shape
    packed = torch.randint(0, 256, (rows, cols // 2), generator=generator).to(torch.uint8).view(torch.int8)
    rms = float(vendor_kernels.E2M1_VALUES.square().mean().sqrt())
    target = round(math.log2(gain / math.sqrt(cols) / rms))
    exponent = target + torch.randint(-1, 2, (rows, cols // 32), generator=generator)
    return packed, (exponent + 127).to(torch.uint8).view(torch.float8_e8m0fnu)


def quantised_tensors(config, seed):
    """The official FP8/FP4 layout. Outputs of wo_b and w2 are scaled to BRANCH_GAIN of a unit stream."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, kind, shape in tensor_list(config):
        if kind not in ("linear", "expert"):
            tensors[name] = random_tensor(config, name, kind, shape, generator)
            continue
        gain = BRANCH_GAIN * (2.0 if "wo_b" in name else 1.0) if name.endswith(("wo_b.weight", "w2.weight")) else 1.2
        if ".experts." in name and "w2" not in name:
            gain = 1.2
        pair = fp4_pair if kind == "expert" else fp8_pair
        tensors[name], tensors[name.removesuffix("weight") + "scale"] = pair(shape, gain, generator)
    return tensors


def import_reference(directory):
    sys.modules["kernel"] = vendor_kernels
    sys.path.insert(0, str(directory))
    return importlib.import_module("model")


def model_args(reference, config):
    c = config
    scaling = c["rope_scaling"]
    return reference.ModelArgs(
        max_batch_size=1, max_seq_len=128, dtype="fp8", scale_fmt="ue8m0", expert_dtype="fp4", scale_dtype="fp8",
        vocab_size=c["vocab_size"], dim=c["hidden_size"], moe_inter_dim=c["moe_intermediate_size"],
        n_layers=c["num_hidden_layers"], n_hash_layers=c["num_hash_layers"],
        n_mtp_layers=c["num_nextn_predict_layers"], n_heads=c["num_attention_heads"],
        n_routed_experts=c["n_routed_experts"], n_activated_experts=c["num_experts_per_tok"],
        score_func=c["scoring_func"], route_scale=c["routed_scaling_factor"], swiglu_limit=c["swiglu_limit"],
        q_lora_rank=c["q_lora_rank"], head_dim=c["head_dim"], rope_head_dim=c["qk_rope_head_dim"],
        norm_eps=c["rms_norm_eps"], o_groups=c["o_groups"], o_lora_rank=c["o_lora_rank"],
        window_size=c["sliding_window"], compress_ratios=tuple(c["compress_ratios"]),
        compress_rope_theta=c["compress_rope_theta"], rope_theta=c["rope_theta"],
        original_seq_len=scaling["original_max_position_embeddings"], rope_factor=scaling["factor"],
        beta_fast=scaling["beta_fast"], beta_slow=scaling["beta_slow"], index_n_heads=c["index_n_heads"],
        index_head_dim=c["index_head_dim"], index_topk=c["index_topk"], hc_mult=c["hc_mult"],
        hc_sinkhorn_iters=c["hc_sinkhorn_iters"], hc_eps=c["hc_eps"])


def parameter_value(name, parameter, tensors):
    """The stored tensor as the reference holds it in memory (its converter's work)."""
    stored = tensors[name]
    if name.endswith("attn.wo_a.weight"):
        scale = tensors[name.removesuffix("weight") + "scale"].float()
        return (stored.float() * scale.repeat_interleave(128, 0).repeat_interleave(128, 1)).to(parameter.dtype)
    if stored.dtype == torch.int8:
        return stored.view(torch.float4_e2m1fn_x2)
    if stored.dtype in (torch.float8_e4m3fn, torch.float8_e8m0fnu):
        assert stored.dtype == parameter.dtype, name
        return stored
    return stored.to(parameter.dtype)


def build(reference, config, tensors):
    torch.set_default_dtype(torch.bfloat16)
    model = reference.Transformer(model_args(reference, config)).eval()
    torch.set_default_dtype(torch.float32)
    used = set()
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if name.startswith("mtp.") and name.split(".")[2] in ("embed", "head"):
            continue  # the trunk's
        value = parameter_value(name, parameter, tensors)
        assert value.shape == parameter.shape, name
        parameter.requires_grad_(False)
        parameter.data = value
        used.add(name)
    unused = {n for n in set(tensors) - used if not n.endswith("wo_a.scale")}
    assert not unused, unused
    # The reference scores the last position only; all of them are wanted here.
    model.head.get_logits = lambda x: torch.nn.functional.linear(x.float(), model.head.weight)
    return model


class Run:
    """One forward of the reference with everything that is recorded on the way."""

    def __init__(self, model, config, **choices):
        self.model, self.config = model, config
        self.mode = vendor_kernels.OrderMode()
        self.options = dataclasses.replace(vendor_kernels.Options(), **choices)
        self.blocks = list(model.layers) + list(model.mtp)
        self.handles, self.streams, self.experts, self.router_margin = [], {}, {}, {}
        self.selected, self.exact, self.index_margin = {}, {}, {}
        self.index_queries, self.index_keys = {}, {}

    def __enter__(self):
        vendor_kernels.options = self.options
        vendor_kernels.attended = self.rows = []
        torch.set_default_dtype(torch.bfloat16)
        add = self.handles.append
        for i, block in enumerate(self.blocks):
            if i < len(self.model.layers):
                add(block.register_forward_hook(lambda m, a, out, i=i: self.streams.__setitem__(i, out[0].float())))
            add(block.ffn.gate.register_forward_hook(lambda m, a, out, i=i: self._route(i, m, a[0], out)))
            indexer = getattr(block.attn, "indexer", None)
            if indexer is not None:
                add(indexer.weights_proj.register_forward_hook(lambda m, a, out: setattr(self, "_w", out[0])))
                add(indexer.register_forward_hook(lambda m, a, out, i=i: self._select(i, m, a, out[0])))
        add(self.model.norm.register_forward_hook(lambda m, a, out: setattr(self, "hidden", out[0].float())))
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()
        torch.set_default_dtype(torch.float32)

    def _route(self, i, gate, x, out):
        self.experts[i] = out[1].long().sort(-1).values
        if not gate.hash:
            z = x.double() @ gate.weight.double().T
            ranked = (torch.nn.functional.softplus(z).sqrt() + gate.bias).sort(-1, descending=True).values
            self.router_margin[i] = (ranked[:, gate.topk - 1] - ranked[:, gate.topk]).float()

    def _select(self, i, indexer, args, out):
        """The reference's picks, and those of exact scores with their margin."""
        _, _, start, offset = args
        q, k = self.index_queries[i], self.index_keys[i] = self.mode.index_operands
        w = self._w.double() * (indexer.softmax_scale * indexer.n_heads**-0.5)
        score = torch.einsum("shd,td->sht", q.double(), k.double()).relu().mul(w[..., None]).sum(1)
        top = self.config["index_topk"]
        picks, exact, margin = [], [], []
        for row in range(len(out)):
            visible = (start + row + 1) // 4
            ids = sorted(int(v) - offset for v in out[row] if v >= 0)
            picks.append(ids + [-1] * (top - len(ids)))
            s = score[row, :visible]
            ranked = s.sort(descending=True)
            best = sorted(ranked.indices[:top].tolist())
            exact.append(best + [-1] * (top - len(best)))
            margin.append(float("inf") if visible <= top else
                          float((ranked.values[top - 1] - ranked.values[top]) / (s.max() - s.min() + 1e-30)))
        self.selected[i], self.exact[i] = torch.tensor(picks), torch.tensor(exact)
        self.index_margin[i] = torch.tensor(margin)

    def forward(self, tokens, start=0):
        with torch.no_grad(), self.mode:
            return self.model(tokens[None], start)[0]

    def draft(self, tokens):
        """Draft logits of the pairs (streams at t, token t+1), from position 0."""
        streams = self.streams[len(self.model.layers) - 1][:-1].to(torch.bfloat16)
        with torch.no_grad(), self.mode:
            return self.model.mtp[0](streams[None], 0, tokens[None, 1:])[0]


def reset_caches(model):
    for name, buffer in model.named_buffers():
        if name.endswith("score_state"):
            buffer.fill_(float("-inf"))
        elif name.endswith(("kv_state", "kv_cache")):
            buffer.zero_()


def prefill(model, config, tokens, **choices):
    """(run, logits of every position, draft logits)."""
    reset_caches(model)
    with Run(model, config, **choices) as run:
        logits = run.forward(tokens)
        return run, logits, run.draft(tokens)


def undecided(run, length):
    """[n] positions with a router or indexer decision that is close, or differs between bf16 and exact scores."""
    bad = torch.zeros(length, dtype=torch.bool)
    for margin in run.router_margin.values():
        bad[length - len(margin):] |= margin < ROUTER_MARGIN  # the draft block's pair t hangs on token t+1
    for i, margin in run.index_margin.items():
        bad |= (margin < INDEX_MARGIN) | (run.selected[i] != run.exact[i]).any(-1)
    return bad


def differing_rows(mine, theirs, tokens, ratio):
    """[n] positions whose own or just completed row differs: token rows first, then compressed ones."""
    bad = torch.zeros(tokens, dtype=torch.bool)
    differs = (mine != theirs).flatten(1).any(-1)
    bad[:tokens] = differs[:tokens]
    groups = len(differs) - tokens
    if groups:
        bad[torch.arange(1, groups + 1) * ratio - 1] |= differs[tokens:]
    return bad


def order_dependent(base, other, length):
    """[n] positions where another order of summation changes a cached row or visibly changes logits.

    A cached row that flips to a neighbouring FP8 or FP4 value would reach all later positions.
    """
    (run, logits, draft), (run2, logits2, draft2) = base, other
    bad = (logits - logits2).abs().amax(-1) > CLEAR * logits.abs().max()
    bad[1:] |= (draft - draft2).abs().amax(-1) > CLEAR * draft.abs().max()
    for mine, theirs, ratio in zip(run.rows, run2.rows, run.config["compress_ratios"]):
        tokens = length if mine is not run.rows[-1] else length - 1  # the draft block sees one pair less
        bad[length - tokens:] |= differing_rows(mine, theirs, tokens, ratio)
    for i in run.index_keys:
        keys = (run.index_keys[i] != run2.index_keys[i]).any(-1)
        bad[torch.arange(1, len(keys) + 1) * 4 - 1] |= keys
        bad |= (run.index_queries[i] != run2.index_queries[i]).flatten(1).any(-1)
    return bad


def unclear_problems(model, config, tokens, orders):
    """Per check, [n] the positions that fail it. Decoding is compared last, at full length only.

    A failing order moves to the front of `orders`, so that the next bad token is found out early.
    """
    base = prefill(model, config, tokens, order="float64")
    yield undecided(base[0], len(tokens))
    for choices in list(orders):
        bad = order_dependent(base, prefill(model, config, tokens, **choices), len(tokens))
        if bad.any():
            orders.remove(choices)
            orders.insert(0, choices)
        yield bad
    if len(tokens) == LENGTH:
        bad = torch.zeros(LENGTH, dtype=torch.bool)
        difference = (decode(model, config, tokens, order="float64") - base[1][PREFILL:]).abs().amax(-1)
        bad[PREFILL:] = difference > CLEAR * base[1].abs().max()
        yield bad


def first_unclear(model, config, tokens, orders):
    """First position found by the first check that finds any, or None."""
    for bad in unclear_problems(model, config, tokens, orders):
        if bad.any():
            return int(bad.nonzero()[0, 0])
    return None


def search_tokens(model, config, start=None):
    """Random tokens (or `start`); the first unclear position gets another one until none is left."""
    generator = torch.Generator().manual_seed(SEED + 1)
    tokens = torch.randint(0, config["vocab_size"], (LENGTH,), generator=generator) if start is None else start
    replaced, tries, orders = 0, {}, list(ORDERS)
    # Short prefixes first: the first bad position is then never far from the end, where a change costs little.
    for length in [LENGTH] if start is not None else [*range(8, LENGTH, 4), LENGTH]:
        while (position := first_unclear(model, config, tokens[:length], orders)) is not None:
            # A compressed row hangs on earlier tokens too: after some tries one further back is replaced.
            tries[position] = tries.get(position, 0) + 1
            victim = max(0, position - tries[position] % 12 // 4)
            tokens[victim] = torch.randint(0, config["vocab_size"], (), generator=generator)
            replaced += 1
            print(position, end=" ", flush=True)
        print(f"{length} tokens are clear after {replaced} replacements", flush=True)
    return tokens, replaced


def decode(model, config, tokens, **choices):
    """Logits of positions PREFILL…LENGTH-1, one token at a time after a prefill of the others."""
    reset_caches(model)
    rows = []
    with Run(model, config, **choices) as run:
        run.forward(tokens[:PREFILL])
        for t in range(PREFILL, LENGTH):
            rows.append(run.forward(tokens[t:t + 1], t)[-1])
    return torch.stack(rows)


VARIANTS = {
    "fp32 fma, k ascending, again": dict(),
    "float64 sums, one rounding": dict(order="float64"),
    "fp32 library sums, shuffled k, last digits varied": dict(order="library", seed=101),
    "the same, another shuffle": dict(order="library", seed=102),
    "the same, a third": dict(order="library", seed=103),
    "attention block ends with the window": dict(split_at=CONFIG["sliding_window"]),
    "WITHOUT input quantisation": dict(quantise_inputs=False),
    "WITHOUT cache row simulation": dict(simulate_kv=False),
    "WITHOUT indexer FP4 simulation": dict(simulate_index=False),
    "WITHOUT bfloat16 probabilities": dict(round_probabilities=False),
    "WITHOUT the bfloat16 chain in the query norm": dict(chain_q_norm=False),
}


def measure(model, config, tokens, base_run, base, base_draft):
    top = base.abs().max()
    print("variant | max|Δlogit|/max|logit| | draft | equal bf16 stream values per layer | same selections")
    for name, choices in VARIANTS.items():
        run, logits, draft = prefill(model, config, tokens, **choices)
        equal = [f"{float((run.streams[i] == base_run.streams[i]).float().mean()):.4f}" for i in base_run.streams]
        same = all(torch.equal(run.experts[i], base_run.experts[i]) for i in base_run.experts) and all(
            torch.equal(run.selected[i], base_run.selected[i]) for i in base_run.selected)
        print(f"{name} | {float((logits - base).abs().max() / top):.2e} | "
              f"{float((draft - base_draft).abs().max() / base_draft.abs().max()):.2e} | {' '.join(equal)} | {same}")


def second_draft(model, config, streams, tokens, first, **choices):
    """After the pairs 0…p: (the block's own output streams at p, `first`) at position p+1, by decoding.

    Returns (router margin, logits). streams [1, p+1, hc, d], tokens [p+1] those that follow.
    """
    with Run(model, config, **choices) as probe, torch.no_grad(), probe.mode:
        probe.handles.append(model.head.register_forward_pre_hook(lambda m, a: setattr(probe, "y", a[0])))
        model.mtp[0](streams, 0, tokens[None])
        logits = model.mtp[0](probe.y[:, -1:], len(tokens), first[None, None])[0, -1]
        return float(probe.router_margin[config["num_hidden_layers"]]), logits


def chain_drafts(model, config, run, tokens, draft):
    """Second drafts at the candidates whose choices are clear and which other orders do not move visibly."""
    streams = run.streams[config["num_hidden_layers"] - 1].to(torch.bfloat16)[None]
    rows = {"positions": [], "first": [], "second": [], "logits": []}
    for p in CHAIN:
        best = draft[p].topk(2)
        state = (streams[:, :p + 1], tokens[1:p + 2], best.indices[0])
        margin, logits = second_draft(model, config, *state)
        moved = max(float((second_draft(model, config, *state, **order)[1] - logits).abs().max()) for order in ORDERS)
        if min(margin, float(best.values[0] - best.values[1])) > ROUTER_MARGIN and moved < CLEAR * logits.abs().max():
            for key, value in zip(rows, (torch.tensor(p), best.indices[0], logits.argmax(), logits)):
                rows[key].append(value)
    return {f"mtp.chain.{key}": torch.stack(value) for key, value in rows.items()}


def capture(reference, out, measuring, reuse):
    config = base_config(**CONFIG)
    tensors = quantised_tensors(config, SEED)
    model = build(reference, config, tensors)
    directory = Path(out) / "vendor_a"
    start = load_file(directory / "vectors.safetensors")["tokens"][:LENGTH] if reuse else None
    tokens, replaced = search_tokens(model, config, start)
    run, logits, draft = prefill(model, config, tokens)
    steps = decode(model, config, tokens)
    vectors = {"tokens": tokens, "logits": logits, "hidden": run.hidden, "streams.positions": torch.arange(LENGTH),
               "step.positions": torch.arange(PREFILL, LENGTH), "step.logits": steps, "mtp.logits": draft}
    trunk = config["num_hidden_layers"]
    for i in range(trunk):
        vectors[f"layer.{i}.streams"] = run.streams[i]
        vectors[f"layer.{i}.experts"] = run.experts[i]
    vectors["mtp.experts"] = run.experts[trunk]
    vectors.update({f"layer.{i}.selected": ids for i, ids in run.selected.items()})
    vectors.update(chain_drafts(model, config, run, tokens, draft))
    top = float(logits.abs().max())
    facts = {"generator": "tools/golden/capture_vendor.py", "torch": torch.__version__, "seed": str(SEED),
             "replaced_tokens": str(replaced), "max_abs_logit": f"{top:.6f}",
             "least_router_margin": f"{min(float(m.min()) for m in run.router_margin.values()):.3e}",
             "least_index_margin": f"{min(float(m.min()) for m in run.index_margin.values()):.3e}",
             "max_abs_step_minus_prefill": f"{float((steps - logits[PREFILL:]).abs().max()):.3e}"}
    write_checkpoint(directory, config, tensors, 2)
    save_file({k: v.contiguous() for k, v in vectors.items()}, directory / "vectors.safetensors", metadata=facts)
    print("vendor_a", facts)
    if measuring:
        measure(model, config, tokens, run, logits, draft)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", required=True, help="directory with the published model.py")
    parser.add_argument("--out", default=Path(__file__).resolve().parents[2] / "tests/golden")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--reuse", action="store_true", help="start the search from the tokens recorded before")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    capture(import_reference(arguments.reference), arguments.out, arguments.measure,
            arguments.reuse)


if __name__ == "__main__":
    main()
