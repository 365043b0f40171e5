#!/usr/bin/env python3
"""Captures the `plain` golden vectors: tiny random checkpoints run by the released `transformers`
DeepSeek-V4.

    capture_plain.py [--out tests/golden] [NAME ...]

Writes NAME/{config.json, model*.safetensors, model.safetensors.index.json, vectors.safetensors}.
"""

import argparse
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

import hf_model
from official import base_config, random_tensors, write_checkpoint, write_json

MARGIN = (
    # a decision closer than this could fall either way by rounding, so its token is replaced
    1e-3
)

CASES = {
    # Every layer kind, both routers, a top-k that cuts, a window that wraps, eight HCA groups,
    # one MTP block.
    "plain_a": {
        "seed": 20261,
        "length": 67,
        "shards": 2,
        "stream_step": 1,
        "chain": [0, 7, 23, 64],
        "hf_spelling": True,
        "config": dict(
            vocab_size=256,
            hidden_size=64,
            num_hidden_layers=5,
            num_attention_heads=4,
            head_dim=32,
            qk_rope_head_dim=8,
            q_lora_rank=32,
            o_groups=2,
            o_lora_rank=16,
            moe_intermediate_size=32,
            n_routed_experts=6,
            num_experts_per_tok=2,
            num_hash_layers=1,
            routed_scaling_factor=2.5,
            swiglu_limit=0.5,
            sliding_window=8,
            compress_ratios=[0, 4, 8, 4, 8, 0],
            index_n_heads=4,
            index_head_dim=16,
            index_topk=3,
            num_nextn_predict_layers=1,
            max_position_embeddings=65536,
            rope_scaling=dict(
                beta_fast=32,
                beta_slow=1,
                factor=16,
                original_max_position_embeddings=4096,
                type="yarn",
            ),
        ),
    },
    # Widths that are no powers of two, two streams, three Sinkhorn passes, other ratio, window,
    # theta and YaRN.
    "plain_b": {
        "seed": 20262,
        "length": 70,
        "shards": 1,
        "stream_step": 3,
        "chain": [],
        "hf_spelling": False,
        "config": dict(
            vocab_size=200,
            hidden_size=48,
            num_hidden_layers=4,
            num_attention_heads=6,
            head_dim=24,
            qk_rope_head_dim=12,
            q_lora_rank=40,
            o_groups=3,
            o_lora_rank=20,
            moe_intermediate_size=24,
            n_routed_experts=7,
            num_experts_per_tok=3,
            num_hash_layers=2,
            routed_scaling_factor=1.5,
            swiglu_limit=1.0,
            sliding_window=11,
            compress_ratios=[16, 4, 16, 4],
            index_n_heads=3,
            index_head_dim=20,
            index_topk=5,
            num_nextn_predict_layers=0,
            hc_mult=2,
            hc_sinkhorn_iters=3,
            rope_theta=500,
            compress_rope_theta=2000,
            max_position_embeddings=8192,
            rope_scaling=dict(
                beta_fast=16,
                beta_slow=2,
                factor=8,
                original_max_position_embeddings=1024,
                type="yarn",
            ),
        ),
    },
    # The published ratios, window and rotary settings; three HCA groups and a ring of 128 that
    # wraps.
    "plain_c": {
        "seed": 20263,
        "length": 400,
        "shards": 1,
        "stream_step": 32,
        "chain": [],
        "hf_spelling": False,
        "config": dict(
            vocab_size=96,
            hidden_size=32,
            num_hidden_layers=4,
            num_attention_heads=4,
            head_dim=32,
            qk_rope_head_dim=16,
            q_lora_rank=24,
            o_groups=2,
            o_lora_rank=16,
            moe_intermediate_size=16,
            n_routed_experts=6,
            num_experts_per_tok=2,
            num_hash_layers=1,
            routed_scaling_factor=2.5,
            swiglu_limit=0.8,
            sliding_window=128,
            compress_ratios=[128, 4, 128, 4],
            index_n_heads=4,
            index_head_dim=16,
            index_topk=16,
            num_nextn_predict_layers=0,
        ),
    },
}


def capture_trunk(model, recorder, tokens):
    logits, hidden = hf_model.prefill(model, tokens)
    return logits, hidden, recorder.least_margin()


def draft_margins(mtp, recorder, streams, tokens):
    """Least router margin of the draft block for each pair (position t, token t+1)."""
    mtp(streams[:-1], tokens[1:])
    return recorder.router_margin[0]


@torch.no_grad()
def search_tokens(case, config, model, recorder, mtp, mtp_recorder):
    """Random tokens whose every router and indexer decision is clear by MARGIN.

    A decision at position t depends on tokens ≤ t (≤ t+1 for the draft block), so the first unclear
    position is given another token until none is left.
    """
    generator = torch.Generator().manual_seed(case["seed"] + 1)
    tokens = torch.randint(0, config["vocab_size"], (case["length"],), generator=generator)
    replaced = 0
    while True:
        _, _, margins = capture_trunk(model, recorder, tokens)
        if mtp is not None:
            last = config["num_hidden_layers"] - 1
            drafts = draft_margins(mtp, mtp_recorder, recorder.streams[last], tokens)
            margins[1:] = torch.minimum(margins[1:], drafts)
        bad = (margins < MARGIN).nonzero()
        if len(bad) == 0:
            return tokens, replaced, float(margins.min())
        tokens[bad[0, 0]] = torch.randint(0, config["vocab_size"], (), generator=generator)
        replaced += 1


def stream_positions(case):
    """Every position, or every `stream_step`-th together with the last ones."""
    n, step = case["length"], case["stream_step"]
    return torch.tensor(sorted(set(range(0, n, step)) | {n - 2, n - 1}))


@torch.no_grad()
def chain_vectors(mtp, recorder, streams, tokens, positions):
    """A second draft on top of the first: (Y_p, first draft) at position p+1 after the pairs
    0…p."""
    y, logits = mtp(streams[:-1], tokens[1:])
    rows = {"first": [], "second": [], "logits": []}
    for p in positions:
        first = logits[p].argmax()
        _, chained = mtp(
            torch.cat([streams[: p + 1], y[p : p + 1]]), torch.cat([tokens[1 : p + 2], first[None]])
        )
        top = logits[p].topk(2).values
        assert (
            recorder.router_margin[0][-1] >= MARGIN and top[0] - top[1] >= MARGIN
        ), "choose another position"
        rows["first"].append(first)
        rows["second"].append(chained[-1].argmax())
        rows["logits"].append(chained[-1])
    return {
        "mtp.chain.positions": torch.tensor(positions),
        **{f"mtp.chain.{k}": torch.stack(v) for k, v in rows.items()},
    }


@torch.no_grad()
def mtp_vectors(case, mtp, recorder, streams, tokens):
    y, logits = mtp(streams[:-1], tokens[1:])
    vectors = {"mtp.logits": logits, "mtp.streams": y, "mtp.experts": recorder.experts[0]}
    if case["chain"]:
        vectors.update(chain_vectors(mtp, recorder, streams, tokens, case["chain"]))
    return vectors


def trunk_vectors(case, recorder, tokens, logits, hidden):
    positions = stream_positions(case)
    vectors = {"tokens": tokens, "logits": logits, "hidden": hidden, "streams.positions": positions}
    for i, streams in recorder.streams.items():
        vectors[f"layer.{i}.streams"] = streams[positions]
        vectors[f"layer.{i}.experts"] = recorder.experts[i]
        if i in recorder.selected:
            vectors[f"layer.{i}.selected"] = recorder.selected[i]
    return vectors


def capture(name, out):
    case = CASES[name]
    config = base_config(**case["config"])
    tensors = random_tensors(config, case["seed"])
    model = hf_model.build_model(config, tensors)
    recorder = hf_model.Recorder(model.model.layers, config["swiglu_limit"])
    mtp = mtp_recorder = None
    if config["num_nextn_predict_layers"]:
        mtp = hf_model.MtpBlock(config, tensors)
        mtp_recorder = hf_model.Recorder([mtp.layer], config["swiglu_limit"])
    tokens, replaced, margin = search_tokens(case, config, model, recorder, mtp, mtp_recorder)
    steps = hf_model.step_by_step(model, tokens)
    recorder.clamped = [0, 0]
    logits, hidden, _ = capture_trunk(model, recorder, tokens)
    vectors = trunk_vectors(case, recorder, tokens, logits, hidden)
    if mtp is not None:
        last = recorder.streams[config["num_hidden_layers"] - 1]
        vectors.update(mtp_vectors(case, mtp, mtp_recorder, last, tokens))
    deviation = float((steps - logits).abs().max())
    facts = {
        "generator": "tools/golden/capture_plain.py",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "seed": str(case["seed"]),
        "replaced_tokens": str(replaced),
        "least_margin": f"{margin:.3e}",
        "max_abs_logit": f"{float(logits.abs().max()):.6f}",
        "max_abs_step_minus_prefill": f"{deviation:.3e}",
        "clamped_share": f"{recorder.clamped[0] / recorder.clamped[1]:.4f}",
    }
    directory = Path(out) / name
    write_checkpoint(directory, config, tensors, case["shards"])
    if case["hf_spelling"]:
        write_json(directory / "config.hf.json", hf_model.hf_config(config).to_dict())
    save_file(
        {k: v.contiguous() for k, v in vectors.items()},
        directory / "vectors.safetensors",
        metadata=facts,
    )
    print(name, facts)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", default=Path(__file__).resolve().parents[2] / "tests/golden")
    parser.add_argument("names", nargs="*", default=list(CASES))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.names:
        capture(name, arguments.out)


if __name__ == "__main__":
    main()
