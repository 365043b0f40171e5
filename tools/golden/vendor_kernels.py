"""Our PyTorch stand-in for the GPU kernels that the published reference imports as `kernel`.

Written from the published rules: power-of-two scales by bit inspection, E4M3 and E2M1 rounding to
nearest even, one partial sum per scale block, attention in blocks of 64 with bfloat16
probabilities. The order of summation inside a block is free in those rules, so it is an option
here: vectors are captured with one order, and the others show how far the result moves, the noise
floor of any comparison.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

E4M3_MAX, E2M1_MAX = 448.0, 6.0
E2M1_VALUES = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
ATTENTION_BLOCK = 64


@dataclass
class Options:
    """How the stand-in computes; the defaults are the published rounding points."""

    # chain: fp32 fma, k ascending; float64: one rounding at the end; library: fp32 as the library
    # sums, k shuffled, and the last digit of exp, sigmoid, rotations, means … varied.
    order: str = "chain"
    seed: int = 0  # of "library"
    quantise_inputs: bool = True  # E4M3 per 128 before FP8 and FP4 products
    simulate_kv: bool = True  # E4M3 per 64 on cache rows
    simulate_index: bool = True  # E2M1 per 32 on indexer queries and keys
    round_probabilities: bool = True
    chain_q_norm: bool = True  # the per-head query norm rounds every step to bfloat16
    split_at: int = 0  # > 0: attention blocks end after that many (window) places


options = Options()
attended = []  # the kv rows [n, width] handed to every attention call, newest last


def last_digit(x):
    """x times 1 ± 1.2e-7 in library order; a hash of value and seed, so that equal values move
    equally."""
    if options.order != "library":
        return x
    bits = x.float().view(torch.int32).long() + 0x5851F42D * (options.seed + 1)
    for shift in (16, 13, 16):
        bits = ((bits ^ (bits >> shift)) * 0x45D9F3B) & 0xFFFFFFFF
    return (x.double() * (1 + 1.2e-7 * (bits.double() / 2**31 - 1))).to(x.dtype)


def power_of_two_scale(amax, inverse):
    """2^ceil(log2(amax * inverse)) in fp32, the exponent read from the bits of the fp32 product."""
    bits = (amax.float() * torch.tensor(inverse, dtype=torch.float32)).view(torch.int32)
    biased = ((bits >> 23) & 0xFF) + ((bits & 0x7FFFFF) != 0)
    return (biased << 23).to(torch.int32).view(torch.float32)


def _blocks(x, block):
    return x.float().unflatten(-1, (-1, block))


def quantise_e4m3(x, block):
    """(codes as float8_e4m3fn like x, scales [..., n / block]) of bfloat16-valued x."""
    v = _blocks(x, block)
    scale = power_of_two_scale(v.abs().amax(-1).clamp(min=1e-4), 1.0 / E4M3_MAX)
    q = (v / scale[..., None]).clamp(-E4M3_MAX, E4M3_MAX).to(torch.float8_e4m3fn)
    return q.flatten(-2), scale


def e2m1_code(v):
    """Code 0…15 of the nearest E2M1 value, ties to the even code; v within ±6."""
    a = v.abs()
    code = (
        (a > 0.25).int()
        + (a >= 0.75)
        + (a > 1.25)
        + (a >= 1.75)
        + (a > 2.5)
        + (a >= 3.5)
        + (a > 5.0)
    )
    return code + 8 * torch.signbit(v).int()


def e2m1_value(code):
    return E2M1_VALUES[(code & 7).long()] * (1 - 2 * (code >= 8).float())


def quantise_e2m1(x, block):
    """(codes 0…15 as int32 like x, scales [..., n / block])."""
    v = _blocks(x, block)
    scale = power_of_two_scale(v.abs().amax(-1).clamp(min=6 * 2.0**-126), 1.0 / E2M1_MAX)
    return e2m1_code((v / scale[..., None]).clamp(-E2M1_MAX, E2M1_MAX)).flatten(-2), scale


def unpack_e2m1(packed):
    """[n, k / 2] bytes to [n, k] values; the low nibble is the even column."""
    b = packed.view(torch.uint8).int()
    return e2m1_value(torch.stack([b & 15, b >> 4], dim=-1).flatten(-2))


def _exact_in_bf16(x):
    return torch.equal(x, x.to(torch.bfloat16).to(x.dtype))


def _chain(a, b):
    """acc = fma(a[k], b[k], acc), k ascending from 0, in fp32."""
    a, b = a.movedim(-1, 0).contiguous(), b.movedim(-1, 0).contiguous()
    acc = torch.zeros(
        *torch.broadcast_shapes(a.shape[1:-1], b.shape[1:-1]),
        a.shape[-1],
        b.shape[-1],
        dtype=torch.float32
    )
    if _exact_in_bf16(a) and _exact_in_bf16(b):
        # Products of two bfloat16 numbers are exact in fp32, so a separate multiplication
        # changes nothing.
        for x, y in zip(a.float(), b.float()):
            acc.addcmul_(x[..., :, None], y[..., None, :])
        return acc
    for x, y in zip(a.double(), b.double()):
        acc = (x[..., :, None] * y[..., None, :] + acc.double()).float()
    return acc


def dot(a, b):
    """a [..., m, k] times b [..., n, k] over k → fp32 [..., m, n] in the chosen order."""
    if options.order == "float64":
        return (a.double() @ b.double().transpose(-1, -2)).float()
    if options.order == "library":
        order = torch.randperm(a.shape[-1], generator=torch.Generator().manual_seed(options.seed))
        return a[..., order].float() @ b[..., order].float().transpose(-1, -2)
    return _chain(a, b)


def act_quant(x, block_size=128, scale_fmt=None, scale_dtype=torch.float32, inplace=False):
    assert (
        scale_fmt == "ue8m0" and scale_dtype == torch.float8_e8m0fnu and x.dtype == torch.bfloat16
    )
    q, scale = quantise_e4m3(x, block_size)
    if not inplace:
        # Without input rounding, the values themselves travel on with scale 1.
        return (q, scale) if options.quantise_inputs else (x, torch.ones_like(scale))
    if options.simulate_kv:
        x.copy_((_blocks(q, block_size) * scale[..., None]).flatten(-2).to(x.dtype))
    return x


def fp4_act_quant(x, block_size=32, inplace=False):
    assert inplace and x.dtype == torch.bfloat16
    if options.simulate_index:
        code, scale = quantise_e2m1(x, block_size)
        x.copy_(
            (e2m1_value(code).unflatten(-1, (-1, block_size)) * scale[..., None])
            .flatten(-2)
            .to(x.dtype)
        )
    return x


def _scaled_product(a, a_scale, w, w_scale, block):
    """Sum over blocks along k of (block product) · scales, fp32, blocks ascending; bfloat16 out."""
    rows = a.float().reshape(-1, a.shape[-1])
    a_scale = a_scale.reshape(len(rows), -1)
    total = torch.zeros(len(rows), len(w), dtype=torch.float32)
    for j in range(rows.shape[1] // block):
        part = dot(rows[:, j * block : (j + 1) * block], w[:, j * block : (j + 1) * block])
        total += part * a_scale[:, j * block // 128, None] * w_scale[:, j]
    return total.to(torch.bfloat16).reshape(*a.shape[:-1], len(w))


def fp8_gemm(a, a_s, b, b_s, scale_dtype=torch.float32):
    scale = b_s.float().repeat_interleave(128, dim=0)[: len(b)]
    return _scaled_product(a, a_s, b.float(), scale, 128)


def fp4_gemm(a, a_s, b, b_s, scale_dtype=torch.float32):
    return _scaled_product(a, a_s, unpack_e2m1(b), b_s.float(), 32)


def _attention_blocks(places):
    cuts = sorted({0, places} | {c for c in (options.split_at,) if 0 < c < places})
    for begin, end in zip(cuts, cuts[1:]):
        for start in range(begin, end, ATTENTION_BLOCK):
            yield slice(start, min(start + ATTENTION_BLOCK, end))


def sparse_attn(q, kv, attn_sink, topk_idxs, softmax_scale):
    """One token row at a time over the listed kv rows (-1: none), online softmax, sink in the
    denominator."""
    q, kv, ids = q[0], kv[0].float(), topk_idxs[0].long()
    attended.append(kv)
    tokens, heads, width = q.shape
    peak = torch.full((tokens, heads), float("-inf"), dtype=torch.float32)
    total = torch.zeros(tokens, heads, dtype=torch.float32)
    acc = torch.zeros(tokens, heads, width, dtype=torch.float32)
    for places in _attention_blocks(ids.shape[1]):
        rows = kv[ids[:, places].clamp(min=0)] * (ids[:, places] >= 0)[..., None]
        score = dot(q, rows) * softmax_scale
        score = torch.where((ids[:, places] >= 0)[:, None, :], score, float("-inf"))
        before, peak = peak, torch.maximum(peak, score.amax(-1))
        shrink = torch.exp(before - peak)
        p = last_digit(torch.exp(score - peak[..., None]))
        total = total * shrink + p.sum(-1)
        if options.round_probabilities:
            p = p.to(torch.bfloat16).float()
        acc = acc * shrink[..., None] + dot(p, rows.transpose(-1, -2))
    total = total + torch.exp(attn_sink - peak)
    return (acc / total[..., None]).to(torch.bfloat16)[None]


def hc_split_sinkhorn(mixes, hc_scale, hc_base, hc_mult=4, sinkhorn_iters=20, eps=1e-6):
    m = mixes.double() if options.order in ("float64", "library") else mixes
    scale, base, n = hc_scale.to(m.dtype), hc_base.to(m.dtype), hc_mult
    pre = torch.sigmoid(m[..., :n] * scale[0] + base[:n]) + eps
    post = 2 * torch.sigmoid(m[..., n : 2 * n] * scale[1] + base[n : 2 * n])
    c = (m[..., 2 * n :] * scale[2] + base[2 * n :]).unflatten(-1, (n, n))
    c = torch.softmax(c, dim=-1) + eps
    c = c / (c.sum(-2, keepdim=True) + eps)
    for _ in range(sinkhorn_iters - 1):
        c = c / (c.sum(-1, keepdim=True) + eps)
        c = c / (c.sum(-2, keepdim=True) + eps)
    return last_digit(pre.float()), last_digit(post.float()), last_digit(c.float())


def hadamard_transform(x, scale):
    """Sylvester order over the last dimension, strides 1, 2, 4, …, in fp32, the factor last, one
    rounding."""
    y, stride = x.float(), 1
    while stride < x.shape[-1]:
        pairs = y.unflatten(-1, (-1, 2, stride))
        a, b = pairs[..., 0, :], pairs[..., 1, :]
        y = torch.stack([a + b, a - b], dim=-2).flatten(-3)
        stride *= 2
    return (y * scale).to(x.dtype)


REDUCTIONS = (torch.Tensor.mean, torch.Tensor.sum, torch.sum, torch.Tensor.softmax)
ELEMENTWISE = (torch.rsqrt, F.silu, F.softplus, torch.view_as_real)


class OrderMode(TorchFunctionMode):
    """Gives the framework's own products (and, for float64, reductions) inside the reference the
    chosen order."""

    def __init__(self):
        super().__init__()
        self.index_operands = None  # (queries, keys) of the latest indexer product

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.linear and len(args) == 2:
            x, w = args
            return dot(x.reshape(-1, x.shape[-1]), w).reshape(*x.shape[:-1], len(w)).to(x.dtype)
        if func is torch.einsum and args[0] == "bsgd,grd->bsgr":
            o, w = args[1], args[2]
            return dot(o[0].transpose(0, 1), w).transpose(0, 1)[None].to(o.dtype)
        if func is torch.einsum and args[0] == "bshd,btd->bsht":
            q, k = args[1], args[2]
            self.index_operands = (q[0].clone(), k[0].clone())
            return dot(q, k[:, None].expand(-1, q.shape[1], -1, -1)).to(q.dtype)
        if (
            func is torch.Tensor.square
            and args[0].dtype == torch.bfloat16
            and not options.chain_q_norm
        ):
            return func(args[0].float())
        if func is torch.rsqrt and args[0].dtype == torch.bfloat16:
            # On the CPU the library rounds the square root first for the last few elements; a
            # GPU rounds once.
            return last_digit(func(args[0].float())).to(torch.bfloat16)
        if (
            options.order in ("float64", "library")
            and func in REDUCTIONS
            and args[0].is_floating_point()
        ):
            return last_digit(func(args[0].double(), *args[1:], **kwargs).float()).to(args[0].dtype)
        result = func(*args, **kwargs)
        return (
            last_digit(result) if func in ELEMENTWISE and result.dtype == torch.float32 else result
        )
