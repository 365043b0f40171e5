"""The published reference as an oracle: an FP8/FP4 checkpoint, loaded into its `model.py`, and one
watched run.

`model.py` is imported from a directory outside this repository; the module `kernel` that it imports
is our `vendor_kernels`.
"""

import dataclasses
import importlib
import math
import sys

import torch

import vendor_kernels
from official import random_tensor, tensor_list

# Size of a sublayer's output beside the streams: small, so that a flipped digit dies out.
BRANCH_GAIN = 0.05


def fp8_pair(shape, gain, generator):
    """E4M3 codes and one E8M0 byte per 128×128; neighbouring blocks differ in size, so a
    misplaced scale shows."""
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
    packed = (
        torch.randint(0, 256, (rows, cols // 2), generator=generator)
        .to(torch.uint8)
        .view(torch.int8)
    )
    rms = float(vendor_kernels.E2M1_VALUES.square().mean().sqrt())
    target = round(math.log2(gain / math.sqrt(cols) / rms))
    exponent = target + torch.randint(-1, 2, (rows, cols // 32), generator=generator)
    return packed, (exponent + 127).to(torch.uint8).view(torch.float8_e8m0fnu)


def quantised_tensors(config, seed):
    """The official FP8/FP4 layout. Outputs of wo_b and w2 are scaled to BRANCH_GAIN of a unit
    stream."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, kind, shape in tensor_list(config):
        if kind not in ("linear", "expert"):
            tensors[name] = random_tensor(config, name, kind, shape, generator)
            continue
        gain = (
            BRANCH_GAIN * (2.0 if "wo_b" in name else 1.0)
            if name.endswith(("wo_b.weight", "w2.weight"))
            else 1.2
        )
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
        max_batch_size=1,
        max_seq_len=128,
        dtype="fp8",
        scale_fmt="ue8m0",
        expert_dtype="fp4",
        scale_dtype="fp8",
        vocab_size=c["vocab_size"],
        dim=c["hidden_size"],
        moe_inter_dim=c["moe_intermediate_size"],
        n_layers=c["num_hidden_layers"],
        n_hash_layers=c["num_hash_layers"],
        n_mtp_layers=c["num_nextn_predict_layers"],
        n_heads=c["num_attention_heads"],
        n_routed_experts=c["n_routed_experts"],
        n_activated_experts=c["num_experts_per_tok"],
        score_func=c["scoring_func"],
        route_scale=c["routed_scaling_factor"],
        swiglu_limit=c["swiglu_limit"],
        q_lora_rank=c["q_lora_rank"],
        head_dim=c["head_dim"],
        rope_head_dim=c["qk_rope_head_dim"],
        norm_eps=c["rms_norm_eps"],
        o_groups=c["o_groups"],
        o_lora_rank=c["o_lora_rank"],
        window_size=c["sliding_window"],
        compress_ratios=tuple(c["compress_ratios"]),
        compress_rope_theta=c["compress_rope_theta"],
        rope_theta=c["rope_theta"],
        original_seq_len=scaling["original_max_position_embeddings"],
        rope_factor=scaling["factor"],
        beta_fast=scaling["beta_fast"],
        beta_slow=scaling["beta_slow"],
        index_n_heads=c["index_n_heads"],
        index_head_dim=c["index_head_dim"],
        index_topk=c["index_topk"],
        hc_mult=c["hc_mult"],
        hc_sinkhorn_iters=c["hc_sinkhorn_iters"],
        hc_eps=c["hc_eps"],
    )


def parameter_value(name, parameter, tensors):
    """The stored tensor as the reference holds it in memory (its converter's work)."""
    stored = tensors[name]
    if name.endswith("attn.wo_a.weight"):
        scale = tensors[name.removesuffix("weight") + "scale"].float()
        return (stored.float() * scale.repeat_interleave(128, 0).repeat_interleave(128, 1)).to(
            parameter.dtype
        )
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
                add(
                    block.register_forward_hook(
                        lambda m, a, out, i=i: self.streams.__setitem__(i, out[0].float())
                    )
                )
            add(
                block.ffn.gate.register_forward_hook(
                    lambda m, a, out, i=i: self._route(i, m, a[0], out)
                )
            )
            indexer = getattr(block.attn, "indexer", None)
            if indexer is not None:
                add(
                    indexer.weights_proj.register_forward_hook(
                        lambda m, a, out: setattr(self, "_w", out[0])
                    )
                )
                add(
                    indexer.register_forward_hook(
                        lambda m, a, out, i=i: self._select(i, m, a, out[0])
                    )
                )
        add(
            self.model.norm.register_forward_hook(
                lambda m, a, out: setattr(self, "hidden", out[0].float())
            )
        )
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()
        torch.set_default_dtype(torch.float32)

    def _route(self, i, gate, x, out):
        self.experts[i] = out[1].long().sort(-1).values
        if not gate.hash:
            z = x.double() @ gate.weight.double().T
            ranked = (
                (torch.nn.functional.softplus(z).sqrt() + gate.bias)
                .sort(-1, descending=True)
                .values
            )
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
            margin.append(
                float("inf")
                if visible <= top
                else float(
                    (ranked.values[top - 1] - ranked.values[top]) / (s.max() - s.min() + 1e-30)
                )
            )
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
