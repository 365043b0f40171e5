"""Writes a trained minnow in the official layout: FP8/FP4/BF16/F32/I64 shards, index, config and
tokenizer; and recorded logits of the stored weights, for comparing implementations.

    export.py --tokenizer DIR --checkpoint FILE [--logits FILE] OUT
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

import config
import data
import measure
import model as models
import quant

SHARDS = 2


def block_tensors(block, prefix):
    """Official names of one layer's tensors, in their stored dtypes."""
    out = {}

    def keep(name, tensor, dtype):
        out[prefix + name] = tensor.detach().to(dtype).contiguous()

    def fp8(name, weight):
        out[f"{prefix}{name}.weight"], out[f"{prefix}{name}.scale"] = quant.pack_fp8(weight.detach())

    def fp4(name, weight):
        out[f"{prefix}{name}.weight"], out[f"{prefix}{name}.scale"] = quant.pack_fp4(weight.detach())

    def compressor(name, module):
        keep(f"{name}.ape", module.ape, torch.float32)
        for part in ("wkv", "wgate", "norm"):
            keep(f"{name}.{part}.weight", getattr(module, part).weight, torch.bfloat16)

    for norm in ("attn_norm", "ffn_norm"):
        keep(f"{norm}.weight", getattr(block, norm).weight, torch.bfloat16)
    for hyper in ("hc_attn", "hc_ffn"):
        for part in ("fn", "base", "scale"):
            keep(f"{hyper}_{part}", getattr(getattr(block, hyper), part), torch.float32)
    attn = block.attn
    keep("attn.attn_sink", attn.attn_sink, torch.float32)
    for part in ("wq_a", "wq_b", "wkv", "wo_a", "wo_b"):
        fp8(f"attn.{part}", getattr(attn, part).weight)
    for part in ("q_norm", "kv_norm"):
        keep(f"attn.{part}.weight", getattr(attn, part).weight, torch.bfloat16)
    if attn.ratio:
        compressor("attn.compressor", attn.compressor)
    if attn.ratio == 4:
        fp8("attn.indexer.wq_b", attn.indexer.wq_b.weight)
        keep("attn.indexer.weights_proj.weight", attn.indexer.weights_proj.weight, torch.bfloat16)
        compressor("attn.indexer.compressor", attn.indexer.compressor)
    gate = block.ffn.gate
    keep("ffn.gate.weight", gate.weight, torch.bfloat16)
    if hasattr(gate, "tid2eid"):
        keep("ffn.gate.tid2eid", gate.tid2eid, torch.int64)
    else:
        keep("ffn.gate.bias", gate.bias, torch.float32)
    for part in ("w1", "w2", "w3"):
        fp8(f"ffn.shared_experts.{part}", getattr(block.ffn.shared, part)[0])
        for e, weight in enumerate(getattr(block.ffn.experts, part)):
            fp4(f"ffn.experts.{e}.{part}", weight)
    return out


def head_tensors(hyper, prefix):
    return {f"{prefix}hc_head_{p}": getattr(hyper, p).detach().float().contiguous()
            for p in ("fn", "base", "scale")}


def official(net):
    out = {}
    bf16 = lambda t: t.detach().bfloat16().contiguous()
    out["embed.weight"], out["head.weight"] = bf16(net.embed), bf16(net.head)
    out["norm.weight"] = bf16(net.norm.weight)
    out.update(head_tensors(net.hc_head, ""))
    for i, layer in enumerate(net.layers):
        out.update(block_tensors(layer, f"layers.{i}."))
    mtp = net.mtp
    out.update(block_tensors(mtp.block, "mtp.0."))
    for part in ("e_proj", "h_proj"):
        codes, scale = quant.pack_fp8(getattr(mtp, part).weight.detach())
        out[f"mtp.0.{part}.weight"], out[f"mtp.0.{part}.scale"] = codes, scale
    for part in ("enorm", "hnorm", "norm"):
        out[f"mtp.0.{part}.weight"] = bf16(getattr(mtp, part).weight)
    out.update(head_tensors(mtp.hc_head, "mtp.0."))
    return out


def write_shards(tensors, out):
    """Whole layers per shard, about equal in bytes; metadata as published."""
    sizes = {n: t.numel() * t.element_size() for n, t in tensors.items()}
    total, used, shards = sum(sizes.values()), 0, [{} for _ in range(SHARDS)]
    for name, tensor in tensors.items():
        shards[min(SHARDS - 1, used * SHARDS // total)][name] = tensor
        used += sizes[name]
    weight_map = {}
    for i, shard in enumerate(shards):
        file = f"model-{i + 1:05d}-of-{SHARDS:05d}.safetensors"
        save_file(shard, out / file, metadata={"format": "pt"})
        weight_map.update({name: file for name in shard})
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def stored_values(net):
    """The network with every weight as the files hold it."""
    from train import stored_form

    with torch.no_grad():
        for name, p in net.named_parameters():
            p.data = stored_form(name, p.data).contiguous()
    return net


def record_logits(net, encoder, path):
    """fp32 logits over held-out dialogues joined to 300 tokens; draft_logits row t comes from the
    streams at t and token t + 1."""
    ids, i = [], 0
    while len(ids) < 300:
        ids += encoder.dialogue(measure.held_out(measure.TASKS[i % 8], i, "logits"))[0]
        i += 1
    ids = torch.tensor(ids[:300])
    models.Precision.dtype = torch.float32
    with torch.no_grad():
        view = models.View(net.config, len(ids))
        streams = net.trunk(ids[None], view)[0]
        logits = net.logits(streams)[0]
        view = models.View(net.config, len(ids) - 1)
        draft = net.draft(streams[:, :-1], ids[None, 1:], view)[0][0]
    models.Precision.dtype = torch.bfloat16
    save_file({"tokens": ids, "logits": logits.contiguous(), "draft_logits": draft.contiguous()}, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--logits", type=Path)
    parser.add_argument("--size", choices=config.SIZES, default="cpu")
    args = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(1)
    shape = config.SIZES[args.size]
    net = models.Minnow(shape)
    if args.checkpoint:
        net.load_state_dict(torch.load(args.checkpoint)["model"])
    args.out.mkdir(parents=True, exist_ok=True)
    write_shards(official(net), args.out)
    (args.out / "config.json").write_text(json.dumps(shape, indent=2) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copyfile(args.tokenizer / name, args.out / name)
    if args.logits:
        args.logits.parent.mkdir(parents=True, exist_ok=True)
        encoder = data.Encoder(args.out / "tokenizer.json")
        record_logits(stored_values(net), encoder, args.logits)


if __name__ == "__main__":
    main()
