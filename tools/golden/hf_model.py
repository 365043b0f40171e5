"""An official-layout checkpoint inside the released `transformers` DeepSeek-V4 classes (fp32,
eager).

Needs `torch` and `transformers`; used when vectors are captured or checked, never by the program
itself.
"""

import torch
from transformers import DynamicCache
from transformers.models.deepseek_v4 import modeling_deepseek_v4 as hf
from transformers.models.deepseek_v4.configuration_deepseek_v4 import DeepseekV4Config

from official import OVERLAP_RATIO

WINDOW, CSA, HCA = (
    "sliding_attention",
    "compressed_sparse_attention",
    "heavily_compressed_attention",
)
# Settings with the same name and meaning on both sides.
SHARED_KEYS = (
    "vocab_size hidden_size moe_intermediate_size num_hidden_layers num_attention_heads "
    "num_key_value_heads head_dim q_lora_rank num_experts_per_tok n_routed_experts "
    "n_shared_experts scoring_func norm_topk_prob routed_scaling_factor "
    "max_position_embeddings rope_theta compress_rope_theta hc_mult hc_sinkhorn_iters "
    "hc_eps swiglu_limit sliding_window o_groups o_lora_rank index_n_heads index_head_dim "
    "index_topk num_nextn_predict_layers hidden_act rms_norm_eps bos_token_id eos_token_id "
    "attention_bias attention_dropout tie_word_embeddings initializer_range use_cache"
).split()


def layer_type(ratio):
    return WINDOW if ratio == 0 else CSA if ratio == OVERLAP_RATIO else HCA


def hf_config(config):
    """The rewritten (`layer_types`, `compress_rates`, `rope_parameters`) spelling of `config`.

    The YaRN attention factor is written out as 1.0: left out, the library would scale cos and sin.
    """
    trunk = config["num_hidden_layers"]
    ratios = config["compress_ratios"][:trunk]
    hca = sorted({r for r in ratios if r not in (0, OVERLAP_RATIO)})
    assert len(hca) <= 1, "the library knows one rate per layer type"
    factor = config["qk_rope_head_dim"] / config["head_dim"]
    scaling = config["rope_scaling"]
    rope = {
        "main": {
            "rope_type": "default",
            "rope_theta": float(config["rope_theta"]),
            "partial_rotary_factor": factor,
        },
        "compress": {
            "rope_type": "yarn",
            "rope_theta": float(config["compress_rope_theta"]),
            "partial_rotary_factor": factor,
            "factor": float(scaling["factor"]),
            "original_max_position_embeddings": scaling["original_max_position_embeddings"],
            "beta_fast": float(scaling["beta_fast"]),
            "beta_slow": float(scaling["beta_slow"]),
            "attention_factor": 1.0,
        },
    }
    result = DeepseekV4Config(
        **{key: config[key] for key in SHARED_KEYS},
        layer_types=[layer_type(r) for r in ratios],
        compress_rates={CSA: OVERLAP_RATIO, HCA: hca[0] if hca else 128},
        mlp_layer_types=[
            "hash_moe" if i < config["num_hash_layers"] else "moe" for i in range(trunk)
        ],
        rope_parameters=rope,
        partial_rotary_factor=factor,
    )
    assert result.qk_rope_head_dim == config["qk_rope_head_dim"]
    result._attn_implementation = "eager"
    result._experts_implementation = "eager"
    return result


COMPRESSOR = {
    "wkv.weight": "kv_proj.weight",
    "wgate.weight": "gate_proj.weight",
    "ape": "position_bias",
    "norm.weight": "kv_norm.weight",
}
INDEXER = {
    "wq_b.weight": "q_b_proj.weight",
    "weights_proj.weight": "scorer.weights_proj.weight",
    **{f"compressor.{k}": v for k, v in COMPRESSOR.items()},
}
ATTENTION = {
    "attn_sink": "sinks",
    "wq_a.weight": "q_a_proj.weight",
    "q_norm.weight": "q_a_norm.weight",
    "wq_b.weight": "q_b_proj.weight",
    "wkv.weight": "kv_proj.weight",
    "kv_norm.weight": "kv_norm.weight",
    "wo_a.weight": "o_a_proj.weight",
    "wo_b.weight": "o_b_proj.weight",
    **{f"compressor.{k}": f"compressor.{v}" for k, v in COMPRESSOR.items()},
    **{f"indexer.{k}": f"compressor.indexer.{v}" for k, v in INDEXER.items()},
}
FFN = {
    "gate.weight": "gate.weight",
    "gate.bias": "gate.e_score_correction_bias",
    "gate.tid2eid": "gate.tid2eid",
    "shared_experts.w1.weight": "shared_experts.gate_proj.weight",
    "shared_experts.w2.weight": "shared_experts.down_proj.weight",
    "shared_experts.w3.weight": "shared_experts.up_proj.weight",
}
BLOCK = {
    "attn_norm.weight": "input_layernorm.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    **{f"hc_{a}_{k}": f"{a}_hc.{k}" for a in ("attn", "ffn") for k in ("fn", "base", "scale")},
    **{f"attn.{k}": f"self_attn.{v}" for k, v in ATTENTION.items()},
    **{f"ffn.{k}": f"mlp.{v}" for k, v in FFN.items()},
}
HEAD = {f"hc_head_{k}": f"hc_{k}" for k in ("fn", "base", "scale")}


def block_state(tensors, prefix, experts):
    """State dict of one decoder layer from the official names under `prefix`."""
    state = {
        BLOCK[name[len(prefix) :]]: t
        for name, t in tensors.items()
        if name.startswith(prefix) and name[len(prefix) :] in BLOCK
    }
    expert = [
        {w: tensors[f"{prefix}ffn.experts.{e}.{w}.weight"] for w in ("w1", "w2", "w3")}
        for e in range(experts)
    ]
    state["mlp.experts.gate_up_proj"] = torch.stack([torch.cat([e["w1"], e["w3"]]) for e in expert])
    state["mlp.experts.down_proj"] = torch.stack([e["w2"] for e in expert])
    return state


def load_strictly(module, state):
    """Copies `state` into `module`; every parameter and persistent buffer must be named exactly
    once."""
    state = {k: v if v.dtype == torch.int64 else v.float() for k, v in state.items()}
    module.load_state_dict(state, strict=True)
    return module.float().eval()


def build_model(config, tensors):
    model = hf.DeepseekV4ForCausalLM(hf_config(config))
    state = {
        "model.embed_tokens.weight": tensors["embed.weight"],
        "lm_head.weight": tensors["head.weight"],
        "model.norm.weight": tensors["norm.weight"],
    }
    state.update({f"model.hc_head.{v}": tensors[k] for k, v in HEAD.items()})
    for i in range(config["num_hidden_layers"]):
        block = block_state(tensors, f"layers.{i}.", config["n_routed_experts"])
        state.update({f"model.layers.{i}.{k}": v for k, v in block.items()})
    load_strictly(model, state)
    assert model.model.rotary_emb.compress_attention_scaling == 1.0
    return model


class MtpBlock(torch.nn.Module):
    """The draft block put together by hand from the library's decoder layer, mHC head and norms.

    The library ignores `mtp.*`. The block is a window layer (plain RoPE, rope_theta) with a learned
    router.
    """

    def __init__(self, config, tensors):
        super().__init__()
        small = hf_config(
            {**config, "num_hidden_layers": 1, "compress_ratios": [0], "num_hash_layers": 0}
        )
        d, eps = config["hidden_size"], config["rms_norm_eps"]
        self.config = small
        self.layer = load_strictly(
            hf.DeepseekV4DecoderLayer(small, 0),
            block_state(tensors, "mtp.0.", config["n_routed_experts"]),
        )
        self.head = load_strictly(
            hf.DeepseekV4HyperHead(small), {v: tensors[f"mtp.0.{k}"] for k, v in HEAD.items()}
        )
        self.norms = {}
        for name in ("enorm", "hnorm", "norm"):
            self.norms[name] = load_strictly(
                hf.DeepseekV4RMSNorm(d, eps=eps), {"weight": tensors[f"mtp.0.{name}.weight"]}
            )
        self.rotary = hf.DeepseekV4RotaryEmbedding(small)
        self.e_proj, self.h_proj = (
            tensors[f"mtp.0.{p}.weight"].float() for p in ("e_proj", "h_proj")
        )
        self.embed, self.lm_head = tensors["embed.weight"].float(), tensors["head.weight"].float()

    def forward(self, streams, tokens):
        """streams [n, hc, d] of positions 0…n-1 and, for each, the token that follows it.

        Returns (block output streams [n, hc, d], draft logits [n, vocab]).
        """
        e = self.norms["enorm"](self.embed[tokens]) @ self.e_proj.T
        z = (e[:, None, :] + self.norms["hnorm"](streams) @ self.h_proj.T)[None]
        positions = torch.arange(len(tokens))[None]
        cos_sin = self.rotary(z, position_ids=positions, layer_type="main")
        mask = hf.create_sliding_window_causal_mask(
            config=self.config,
            inputs_embeds=z[:, :, 0],
            attention_mask=None,
            past_key_values=None,
            position_ids=positions,
        )
        y = self.layer(
            z,
            position_embeddings={"main": cos_sin},
            position_ids=positions,
            attention_mask=mask,
            input_ids=tokens[None],
            past_key_values=None,
        )
        return y[0], self.norms["norm"](self.head(y))[0] @ self.lm_head.T


class Recorder:
    """Hooks on decoder layers: streams, routing and indexer choices of the latest forward."""

    def __init__(self, layers, swiglu_limit):
        self.streams, self.experts, self.router_margin = {}, {}, {}
        self.selected, self.index_margin, self.clamped = {}, {}, [0, 0]
        self.limit = swiglu_limit
        for i, layer in enumerate(layers):
            layer.register_forward_hook(
                lambda m, a, out, i=i: self.streams.__setitem__(i, out[0].clone())
            )
            gate = layer.mlp.gate
            gate.register_forward_hook(lambda m, a, out, i=i: self._route(i, m, out))
            layer.mlp.shared_experts.register_forward_pre_hook(lambda m, a: self._clamp(m, a[0]))
            indexer = getattr(getattr(layer.self_attn, "compressor", None), "indexer", None)
            if indexer is not None:
                indexer.scorer.register_forward_hook(lambda m, a, out, i=i: self._scores(i, out))
                indexer.register_forward_hook(
                    lambda m, a, out, i=i, k=indexer.index_topk: self._select(i, out, k)
                )

    def _clamp(self, mlp, x):
        gate, up = mlp.gate_proj(x), mlp.up_proj(x)
        self.clamped[0] += int((gate > self.limit).sum() + (up.abs() > self.limit).sum())
        self.clamped[1] += 2 * gate.numel()

    def _route(self, i, gate, out):
        logits, _, indices = out
        self.experts[i] = indices.sort(dim=-1).values
        if isinstance(gate, hf.DeepseekV4TopKRouter):
            scores = (
                (gate.score_fn(logits) + gate.e_score_correction_bias)
                .sort(dim=-1, descending=True)
                .values
            )
            self.router_margin[i] = scores[:, gate.top_k - 1] - scores[:, gate.top_k]

    def _scores(self, i, scores):
        self._pending = scores[0]

    def _select(self, i, out, k):
        """Sorted ids padded with -1 at the end; margin between the last kept and the first
        dropped entry."""
        ids = torch.where(out[0] < 0, torch.iinfo(torch.int64).max, out[0]).sort(dim=-1).values
        ids = torch.where(ids == torch.iinfo(torch.int64).max, -1, ids)
        self.selected[i] = torch.nn.functional.pad(ids, (0, k - ids.shape[-1]), value=-1)
        margin = torch.full((len(ids),), float("inf"))
        for t in range(len(ids)):
            visible = (t + 1) // OVERLAP_RATIO
            if visible > k:
                ranked = self._pending[t, :visible].sort(descending=True).values
                margin[t] = ranked[k - 1] - ranked[k]
        self.index_margin[i] = margin

    def least_margin(self):
        """[n] smallest margin of any decision at each position."""
        margins = list(self.router_margin.values()) + list(self.index_margin.values())
        return torch.stack(margins).min(dim=0).values


@torch.no_grad()
def prefill(model, tokens):
    """(logits [n, vocab], pre-logit norm output [n, d]) of one forward without a cache."""
    hidden = model.model(input_ids=tokens[None], use_cache=False).last_hidden_state
    return model.lm_head(hidden)[0], hidden[0]


@torch.no_grad()
def step_by_step(model, tokens):
    """Logits [n, vocab], one token at a time with the library's cache."""
    cache = DynamicCache(config=model.config)
    rows = [
        model(input_ids=tokens[t : t + 1][None], past_key_values=cache, use_cache=True).logits[0, 0]
        for t in range(len(tokens))
    ]
    return torch.stack(rows)
