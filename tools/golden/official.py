"""The official checkpoint layout in small: names, shapes, random weights, config.json and shards.

Everything here is our own description of the published format: flat tensor names, one routed expert
per name, BF16 matrices, F32 mHC / sink / ape / bias tensors and an I64 hash table.
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file

OVERLAP_RATIO = 4  # the overlapped compressor and the indexer exist at this ratio only


def base_config(**overrides):
    """A config.json in the published spelling; `overrides` sets the small dims.

    `compress_ratios` has one entry per trunk layer and one more for each MTP block.
    """
    config = {
        "architectures": ["DeepseekV4ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "hc_eps": 1e-6,
        "hc_mult": 4,
        "hc_sinkhorn_iters": 20,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "max_position_embeddings": 1048576,
        "model_type": "deepseek_v4",
        "n_shared_experts": 1,
        "norm_topk_prob": True,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000,
        "rope_scaling": {
            "beta_fast": 32,
            "beta_slow": 1,
            "factor": 16,
            "original_max_position_embeddings": 65536,
            "type": "yarn",
        },
        "compress_rope_theta": 160000,
        "scoring_func": "sqrtsoftplus",
        "tie_word_embeddings": False,
        "topk_method": "noaux_tc",
        "torch_dtype": "bfloat16",
        "transformers_version": "4.57.1",
        "use_cache": True,
    }
    config.update(overrides)
    want = config["num_hidden_layers"] + config["num_nextn_predict_layers"]
    if len(config["compress_ratios"]) != want:
        raise ValueError(
            f"compress_ratios has {len(config['compress_ratios'])} entries, expected {want}."
        )
    return config


def layer_plan(config):
    """(prefix, ratio, is_hash) of every block, the MTP block last."""
    trunk = config["num_hidden_layers"]
    plan = []
    for i, ratio in enumerate(config["compress_ratios"]):
        prefix = f"layers.{i}." if i < trunk else f"mtp.{i - trunk}."
        plan.append((prefix, ratio, i < config["num_hash_layers"]))
    return plan


class Shapes:
    """Tensor list of a config as (name, kind, shape); kind is one of the keys of
    `random_tensors`."""

    def __init__(self, config):
        self.c = config
        self.items = []
        self.streams = config["hc_mult"] * config["hidden_size"]

    def add(self, name, kind, *shape):
        self.items.append((name, kind, shape))

    def head_collapse(self, prefix):
        hc = self.c["hc_mult"]
        self.add(f"{prefix}hc_head_fn", "hc_fn", hc, self.streams)
        self.add(f"{prefix}hc_head_base", "hc_base", hc)
        self.add(f"{prefix}hc_head_scale", "hc_scale", 1)

    def compressor(self, prefix, ratio, width):
        c = self.c
        channels = width * (2 if ratio == OVERLAP_RATIO else 1)
        self.add(f"{prefix}ape", "ape", ratio, channels)
        self.add(f"{prefix}wkv.weight", "bf16", channels, c["hidden_size"])
        self.add(f"{prefix}wgate.weight", "bf16", channels, c["hidden_size"])
        self.add(f"{prefix}norm.weight", "norm", width)

    def attention(self, prefix, ratio):
        c = self.c
        d, heads, width = c["hidden_size"], c["num_attention_heads"], c["head_dim"]
        groups, rank = c["o_groups"], c["o_lora_rank"]
        self.add(f"{prefix}attn_sink", "sink", heads)
        self.add(f"{prefix}wq_a.weight", "linear", c["q_lora_rank"], d)
        self.add(f"{prefix}q_norm.weight", "norm", c["q_lora_rank"])
        self.add(f"{prefix}wq_b.weight", "linear", heads * width, c["q_lora_rank"])
        self.add(f"{prefix}wkv.weight", "linear", width, d)
        self.add(f"{prefix}kv_norm.weight", "norm", width)
        self.add(f"{prefix}wo_a.weight", "linear", groups * rank, heads * width // groups)
        self.add(f"{prefix}wo_b.weight", "linear", d, groups * rank)
        if ratio:
            self.compressor(f"{prefix}compressor.", ratio, width)
        if ratio == OVERLAP_RATIO:
            index = f"{prefix}indexer."
            self.add(
                f"{index}wq_b.weight",
                "linear",
                c["index_n_heads"] * c["index_head_dim"],
                c["q_lora_rank"],
            )
            self.add(f"{index}weights_proj.weight", "bf16", c["index_n_heads"], d)
            self.compressor(f"{index}compressor.", ratio, c["index_head_dim"])

    def ffn(self, prefix, is_hash):
        c = self.c
        d, inner, experts = c["hidden_size"], c["moe_intermediate_size"], c["n_routed_experts"]
        self.add(f"{prefix}gate.weight", "gate", experts, d)
        if is_hash:
            self.add(f"{prefix}gate.tid2eid", "tid2eid", c["vocab_size"], c["num_experts_per_tok"])
        else:
            self.add(f"{prefix}gate.bias", "bias", experts)
        for owner, kind in [(f"experts.{e}", "expert") for e in range(experts)] + [
            ("shared_experts", "linear")
        ]:
            self.add(f"{prefix}{owner}.w1.weight", kind, inner, d)
            self.add(f"{prefix}{owner}.w2.weight", kind, d, inner)
            self.add(f"{prefix}{owner}.w3.weight", kind, inner, d)

    def block(self, prefix, ratio, is_hash):
        d, hc = self.c["hidden_size"], self.c["hc_mult"]
        self.add(f"{prefix}attn_norm.weight", "norm", d)
        self.add(f"{prefix}ffn_norm.weight", "norm", d)
        for site in ("attn", "ffn"):
            self.add(f"{prefix}hc_{site}_fn", "hc_fn", (2 + hc) * hc, self.streams)
            self.add(f"{prefix}hc_{site}_base", "hc_base", (2 + hc) * hc)
            self.add(f"{prefix}hc_{site}_scale", "hc_scale", 3)
        self.attention(f"{prefix}attn.", ratio)
        self.ffn(f"{prefix}ffn.", is_hash)
        if prefix.startswith("mtp."):
            self.add(f"{prefix}e_proj.weight", "linear", d, d)
            self.add(f"{prefix}h_proj.weight", "linear", d, d)
            for norm in ("enorm", "hnorm", "norm"):
                self.add(f"{prefix}{norm}.weight", "norm", d)
            self.head_collapse(prefix)


def tensor_list(config):
    shapes = Shapes(config)
    shapes.add("embed.weight", "embed", config["vocab_size"], config["hidden_size"])
    shapes.add("head.weight", "bf16", config["vocab_size"], config["hidden_size"])
    shapes.add("norm.weight", "norm", config["hidden_size"])
    shapes.head_collapse("")
    for prefix, ratio, is_hash in layer_plan(config):
        shapes.block(prefix, ratio, is_hash)
    return shapes.items


def _matrix(shape, gain, generator):
    return torch.randn(shape, generator=generator) * (gain / math.sqrt(shape[-1]))


def _distinct_rows(config, shape, generator):
    keys = torch.rand((shape[0], config["n_routed_experts"]), generator=generator)
    return keys.argsort(dim=-1)[:, : shape[1]].contiguous()


# Gains above 1 keep attention and router scores from being flat, which would hide mistakes.
GAINS = {
    "attn.indexer.wq_b.weight": 1.5,
    "attn.indexer.weights_proj.weight": 4.0,
    "attn.wo_b.weight": 2.0,
    "w2.weight": 2.0,
    "attn.compressor.wgate.weight": 1.5,
    "head.weight": 2.0,
}


def random_tensor(config, name, kind, shape, generator):
    """One tensor: F32 kinds in full precision, tid2eid as I64, all the others exact in bfloat16."""
    gain = next((g for suffix, g in GAINS.items() if name.endswith(suffix)), 1.2)
    if kind in ("sink", "ape", "hc_base"):
        return torch.randn(shape, generator=generator)
    if kind == "hc_fn":
        return _matrix(shape, 1.0, generator)
    if kind == "hc_scale":
        return torch.rand(shape, generator=generator) + 0.5
    if kind == "bias":
        return torch.randn(shape, generator=generator) * 0.3
    if kind == "tid2eid":
        return _distinct_rows(config, shape, generator)
    if kind == "norm":
        return (torch.rand(shape, generator=generator) + 0.5).bfloat16()
    if kind == "embed":
        return torch.randn(shape, generator=generator).bfloat16()
    return _matrix(shape, 2.5 if kind == "gate" else gain, generator).bfloat16()


def random_tensors(config, seed):
    """All tensors of `config` by official name."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: random_tensor(config, name, kind, shape, generator)
        for name, kind, shape in tensor_list(config)
    }


def write_json(path, value):
    Path(path).write_text(json.dumps(value, indent=2) + "\n")


def write_checkpoint(directory, config, tensors, shards):
    """config.json, `shards` safetensors files cut by bytes, and the index."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "config.json", config)
    sizes = {name: t.numel() * t.element_size() for name, t in tensors.items()}
    total = sum(sizes.values())
    groups, taken = [{} for _ in range(shards)], 0
    for name, tensor in tensors.items():
        groups[min(shards - 1, taken * shards // total)][name] = tensor.contiguous()
        taken += sizes[name]
    weight_map = {}
    for i, group in enumerate(groups):
        file_name = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        save_file(group, directory / file_name, metadata={"format": "pt"})
        weight_map.update({name: file_name for name in group})
    write_json(
        directory / "model.safetensors.index.json",
        {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))},
    )


def read_checkpoint(directory):
    """(config, tensors by official name) of a checkpoint written by `write_checkpoint`."""
    from safetensors.torch import load_file

    directory = Path(directory)
    config = json.loads((directory / "config.json").read_text())
    index = json.loads((directory / "model.safetensors.index.json").read_text())
    tensors = {}
    for file_name in sorted(set(index["weight_map"].values())):
        tensors.update(load_file(directory / file_name))
    return config, tensors
