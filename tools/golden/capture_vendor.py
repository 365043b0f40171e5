#!/usr/bin/env python3
"""Captures the `vendor` golden vectors: the published reference on the CPU with `vendor_kernels`.

    capture_vendor.py --reference DIR [--out tests/golden] [--measure] [--reuse]

DIR holds the published `inference/model.py` (revision of June 2026; `kernel.py` beside it is not
used). Nothing of it is copied. --measure also prints how far other orders of summation and missing
roundings move the result. The search for clear tokens takes minutes to hours.
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from official import base_config, write_checkpoint
from vendor_reference import Run, build, import_reference, quantised_tensors

SEED, LENGTH, PREFILL = 20267, 33, 21
ROUTER_MARGIN, INDEX_MARGIN = 0.02, 0.03  # the latter as a share of the token's score range
CHAIN = range(0, LENGTH - 1, 3)  # candidates for two-step drafts
# a token is kept if other orders of summation move its logits by less (share of the largest)
CLEAR = 3e-4
ORDERS = [dict(order="library", seed=s) for s in range(8)] + [dict(order="chain")]

CONFIG = dict(
    vocab_size=256,
    hidden_size=128,
    num_hidden_layers=3,
    num_attention_heads=2,
    head_dim=128,
    qk_rope_head_dim=64,
    q_lora_rank=128,
    o_groups=2,
    o_lora_rank=128,
    moe_intermediate_size=128,
    n_routed_experts=4,
    num_experts_per_tok=2,
    num_hash_layers=1,
    routed_scaling_factor=1.5,
    swiglu_limit=1.5,
    sliding_window=12,
    compress_ratios=[0, 4, 8, 0],
    index_n_heads=2,
    index_head_dim=128,
    index_topk=4,
    num_nextn_predict_layers=1,
    expert_dtype="fp4",
    quantization_config=dict(
        activation_scheme="dynamic",
        fmt="e4m3",
        quant_method="fp8",
        scale_fmt="ue8m0",
        weight_block_size=[128, 128],
    ),
)


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
    """[n] positions with a router or indexer decision that is close, or differs between bf16 and
    exact scores."""
    bad = torch.zeros(length, dtype=torch.bool)
    for margin in run.router_margin.values():
        bad[length - len(margin) :] |= (
            margin < ROUTER_MARGIN
        )  # the draft block's pair t hangs on token t+1
    for i, margin in run.index_margin.items():
        bad |= (margin < INDEX_MARGIN) | (run.selected[i] != run.exact[i]).any(-1)
    return bad


def differing_rows(mine, theirs, tokens, ratio):
    """[n] positions whose own or just completed row differs: token rows first, then compressed
    ones."""
    bad = torch.zeros(tokens, dtype=torch.bool)
    differs = (mine != theirs).flatten(1).any(-1)
    bad[:tokens] = differs[:tokens]
    groups = len(differs) - tokens
    if groups:
        bad[torch.arange(1, groups + 1) * ratio - 1] |= differs[tokens:]
    return bad


def order_dependent(base, other, length):
    """[n] positions where another order of summation changes a cached row or visibly changes
    logits.

    A cached row that flips to a neighbouring FP8 or FP4 value would reach all later positions.
    """
    (run, logits, draft), (run2, logits2, draft2) = base, other
    bad = (logits - logits2).abs().amax(-1) > CLEAR * logits.abs().max()
    bad[1:] |= (draft - draft2).abs().amax(-1) > CLEAR * draft.abs().max()
    for mine, theirs, ratio in zip(run.rows, run2.rows, run.config["compress_ratios"]):
        tokens = (
            length if mine is not run.rows[-1] else length - 1
        )  # the draft block sees one pair less
        bad[length - tokens :] |= differing_rows(mine, theirs, tokens, ratio)
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
        difference = (
            (decode(model, config, tokens, order="float64") - base[1][PREFILL:]).abs().amax(-1)
        )
        bad[PREFILL:] = difference > CLEAR * base[1].abs().max()
        yield bad


def first_unclear(model, config, tokens, orders):
    """First position found by the first check that finds any, or None."""
    for bad in unclear_problems(model, config, tokens, orders):
        if bad.any():
            return int(bad.nonzero()[0, 0])
    return None


def search_tokens(model, config, start=None):
    """Random tokens (or `start`); the first unclear position gets another one until none is
    left."""
    generator = torch.Generator().manual_seed(SEED + 1)
    tokens = (
        torch.randint(0, config["vocab_size"], (LENGTH,), generator=generator)
        if start is None
        else start
    )
    replaced, tries, orders = 0, {}, list(ORDERS)
    # Short prefixes first: the first bad position is then never far from the end, where a
    # change costs little.
    for length in [LENGTH] if start is not None else [*range(8, LENGTH, 4), LENGTH]:
        while (position := first_unclear(model, config, tokens[:length], orders)) is not None:
            # A compressed row hangs on earlier tokens too: after some tries one further back is
            # replaced.
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
            rows.append(run.forward(tokens[t : t + 1], t)[-1])
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
    print("variant | max|Δlogit|/max|logit| | draft | equal values per layer | same choices")
    for name, choices in VARIANTS.items():
        run, logits, draft = prefill(model, config, tokens, **choices)
        equal = [
            f"{float((run.streams[i] == base_run.streams[i]).float().mean()):.4f}"
            for i in base_run.streams
        ]
        same = all(
            torch.equal(run.experts[i], base_run.experts[i]) for i in base_run.experts
        ) and all(torch.equal(run.selected[i], base_run.selected[i]) for i in base_run.selected)
        print(
            f"{name} | {float((logits - base).abs().max() / top):.2e} | "
            f"{float((draft - base_draft).abs().max() / base_draft.abs().max()):.2e} | "
            f"{' '.join(equal)} | {same}"
        )


def second_draft(model, config, streams, tokens, first, **choices):
    """After the pairs 0…p: (the block's own output streams at p, `first`) at position p+1, by
    decoding.

    Returns (router margin, logits). streams [1, p+1, hc, d], tokens [p+1] those that follow.
    """
    with Run(model, config, **choices) as probe, torch.no_grad(), probe.mode:
        probe.handles.append(
            model.head.register_forward_pre_hook(lambda m, a: setattr(probe, "y", a[0]))
        )
        model.mtp[0](streams, 0, tokens[None])
        logits = model.mtp[0](probe.y[:, -1:], len(tokens), first[None, None])[0, -1]
        return float(probe.router_margin[config["num_hidden_layers"]]), logits


def chain_drafts(model, config, run, tokens, draft):
    """Second drafts at the candidates whose choices are clear and which other orders do not move
    visibly."""
    streams = run.streams[config["num_hidden_layers"] - 1].to(torch.bfloat16)[None]
    rows = {"positions": [], "first": [], "second": [], "logits": []}
    for p in CHAIN:
        best = draft[p].topk(2)
        state = (streams[:, : p + 1], tokens[1 : p + 2], best.indices[0])
        margin, logits = second_draft(model, config, *state)
        moved = max(
            float((second_draft(model, config, *state, **order)[1] - logits).abs().max())
            for order in ORDERS
        )
        if (
            min(margin, float(best.values[0] - best.values[1])) > ROUTER_MARGIN
            and moved < CLEAR * logits.abs().max()
        ):
            for key, value in zip(
                rows, (torch.tensor(p), best.indices[0], logits.argmax(), logits)
            ):
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
    vectors = {
        "tokens": tokens,
        "logits": logits,
        "hidden": run.hidden,
        "streams.positions": torch.arange(LENGTH),
        "step.positions": torch.arange(PREFILL, LENGTH),
        "step.logits": steps,
        "mtp.logits": draft,
    }
    trunk = config["num_hidden_layers"]
    for i in range(trunk):
        vectors[f"layer.{i}.streams"] = run.streams[i]
        vectors[f"layer.{i}.experts"] = run.experts[i]
    vectors["mtp.experts"] = run.experts[trunk]
    vectors.update({f"layer.{i}.selected": ids for i, ids in run.selected.items()})
    vectors.update(chain_drafts(model, config, run, tokens, draft))
    top = float(logits.abs().max())
    facts = {
        "generator": "tools/golden/capture_vendor.py",
        "torch": torch.__version__,
        "seed": str(SEED),
        "replaced_tokens": str(replaced),
        "max_abs_logit": f"{top:.6f}",
        "least_router_margin": f"{min(float(m.min()) for m in run.router_margin.values()):.3e}",
        "least_index_margin": f"{min(float(m.min()) for m in run.index_margin.values()):.3e}",
        "max_abs_step_minus_prefill": f"{float((steps - logits[PREFILL:]).abs().max()):.3e}",
    }
    write_checkpoint(directory, config, tensors, 2)
    save_file(
        {k: v.contiguous() for k, v in vectors.items()},
        directory / "vectors.safetensors",
        metadata=facts,
    )
    print("vendor_a", facts)
    if measuring:
        measure(model, config, tokens, run, logits, draft)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", required=True, help="holds the published model.py")
    parser.add_argument("--out", default=Path(__file__).resolve().parents[2] / "tests/golden")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument(
        "--reuse", action="store_true", help="start the search from the tokens recorded before"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    capture(
        import_reference(arguments.reference), arguments.out, arguments.measure, arguments.reuse
    )


if __name__ == "__main__":
    main()
