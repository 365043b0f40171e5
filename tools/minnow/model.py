"""DeepSeek-V4 in small, for training on a CPU: docs/MODEL.md's forward pass in PyTorch.

Shapes: B sequences, T tokens, d hidden size, h heads, D head size, S attended rows.
All experts are computed and masked: with few experts that is cheaper than gathering tokens.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

HIDDEN = -1e30


def rms(x, weight=None, eps=1e-6):
    y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
    return y if weight is None else y * weight


def frequencies(config, compressed):
    """Rotary frequencies [rope/2]; compressed layers use their own base and YaRN."""
    dims = config["qk_rope_head_dim"]
    i = torch.arange(0, dims, 2, dtype=torch.float64) / dims
    if not compressed:
        return (float(config["rope_theta"]) ** -i).float()
    theta, yarn = float(config["compress_rope_theta"]), config["rope_scaling"]
    freq = theta**-i

    def corrected(turns):
        length = yarn["original_max_position_embeddings"]
        return dims * math.log(length / (2 * math.pi * turns)) / (2 * math.log(theta))

    low = max(math.floor(corrected(yarn["beta_fast"])), 0)
    high = min(math.ceil(corrected(yarn["beta_slow"])), dims - 1)
    ramp = ((torch.arange(dims // 2) - low) / (high - low)).clamp(0, 1).double()
    return (freq / yarn["factor"] * ramp + freq * (1 - ramp)).float()


def cis(positions, freq):
    angle = positions.float()[:, None] * freq
    return torch.polar(torch.ones_like(angle), angle)  # [T, rope/2]


class SinkSoftmax(torch.autograd.Function):
    """Softmax over rows plus one sink column. scores [B, T, h, S + 1] is consumed; `mask` holds the
    sink in its last column, where the score is 0. Stays in the scores' dtype, to move less memory."""

    @staticmethod
    def forward(ctx, scores, mask, sink):
        mask = torch.cat([mask, sink.view(1, 1, -1, 1).expand(*mask.shape[:3], 1)], -1)
        p = torch.softmax(scores.add_(mask), -1)
        ctx.save_for_backward(p)
        return p

    @staticmethod
    def backward(ctx, grad):
        (p,) = ctx.saved_tensors
        ds = torch._softmax_backward_data(grad, p, -1, p.dtype)
        return ds, None, ds[..., -1].float().sum((0, 1))


class Rotate(torch.autograd.Function):
    """Rotates the last dims of x [..., D]; turn is complex and broadcasts against [..., rope/2]."""

    @staticmethod
    def forward(ctx, x, turn):
        ctx.save_for_backward(turn)
        return Rotate.turned(x, turn)

    @staticmethod
    def backward(ctx, grad):
        return Rotate.turned(grad, ctx.saved_tensors[0].conj()), None

    @staticmethod
    def turned(x, turn):
        out = x.clone(memory_format=torch.contiguous_format)
        torch.view_as_complex(out.unflatten(-1, (-1, 2)))[..., -turn.shape[-1] :].mul_(turn)
        return out


def rotate(x, turn):
    return Rotate.apply(x, turn)


class Sinkhorn(torch.autograd.Function):
    """Logits [n, n, N] (tokens last) -> doubly stochastic; implicit gradient at the fixed point."""

    @staticmethod
    def forward(ctx, logits, iterations, eps):
        c = torch.softmax(logits, 1).add_(eps)
        c.div_(c.sum(0, keepdim=True).add_(eps))
        for _ in range(iterations - 1):
            c.div_(c.sum(1, keepdim=True).add_(eps))
            c.div_(c.sum(0, keepdim=True).add_(eps))
        ctx.save_for_backward(c)
        return c

    @staticmethod
    def backward(ctx, grad):
        (p,) = ctx.saved_tensors
        pg = p * grad
        rows, cols = pg.sum(1), pg.sum(0)
        beta = torch.zeros_like(cols)
        for _ in range(10):
            alpha = rows - (p * beta[None]).sum(1)
            beta = cols - (p * alpha[:, None]).sum(0)
        return p * (grad - alpha[:, None] - beta[None]), None, None


class Precision:
    """Type of the operands of large products: bf16 in training where the CPU multiplies it, fp32 when
    measuring."""

    dtype = torch.bfloat16


def linear(x, w):
    if Precision.dtype == torch.float32:
        return F.linear(x, w)
    return F.linear(x.bfloat16(), w.bfloat16()).float()


def product(a, b):
    """Stays in Precision.dtype."""
    return torch.matmul(a.to(Precision.dtype), b.to(Precision.dtype))


class Linear(nn.Module):
    """A matrix [out, in] without bias."""

    def __init__(self, outputs, inputs, gain=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * gain / math.sqrt(inputs))

    def forward(self, x):
        return linear(x, self.weight)


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return rms(x, self.weight)


class Hyper(nn.Module):
    """mHC around one sublayer: pre-mix of the streams, post-mix with a doubly stochastic C."""

    def __init__(self, config, index):
        super().__init__()
        n, d = config["hc_mult"], config["hidden_size"]
        self.n, self.iterations = n, config["hc_sinkhorn_iters"]
        self.eps = config["hc_eps"]
        self.fn = nn.Parameter(torch.randn((2 + n) * n, n * d) * 0.5 / math.sqrt(n * d))
        base = torch.zeros((2 + n) * n)
        base[:n] = -1.6  # each sublayer starts by reading mostly one stream, to break symmetry
        base[index % n] = 0.2
        base[2 * n :] = (torch.eye(n) * 4.0).flatten()
        self.base = nn.Parameter(base)
        self.scale = nn.Parameter(torch.full((3,), 0.3))

    def pre(self, x, norm):
        """Streams [N, n, d] -> normalised sublayer input [N, d], post [N, n], mix [n, n, N]."""
        n = self.n
        f = x.flatten(-2)
        rho = torch.rsqrt(f.square().mean(-1, keepdim=True) + 1e-6)
        m = F.linear(f, self.fn) * rho
        pre = torch.sigmoid(m[..., :n] * self.scale[0] + self.base[:n]) + self.eps
        post = 2 * torch.sigmoid(m[..., n : 2 * n] * self.scale[1] + self.base[n : 2 * n])
        logits = m[..., 2 * n :] * self.scale[2] + self.base[2 * n :]
        logits = logits.t().unflatten(0, (n, n)).contiguous()
        mix = Sinkhorn.apply(logits, self.iterations, self.eps)  # [j, k, N]
        return norm((pre.unsqueeze(-1) * x).sum(-2)), post, mix

    def post(self, x, y, post, mix):
        c = mix.permute(2, 0, 1)
        mixed = (c.unsqueeze(-1) * x.unsqueeze(2)).sum(1)  # contracts the first index of C
        return mixed + post.unsqueeze(-1) * y.unsqueeze(-2)


class HyperHead(nn.Module):
    """Collapse of the streams before a final norm."""

    def __init__(self, config):
        super().__init__()
        n, d = config["hc_mult"], config["hidden_size"]
        self.eps = config["hc_eps"]
        self.fn = nn.Parameter(torch.randn(n, n * d) * 0.5 / math.sqrt(n * d))
        self.base = nn.Parameter(torch.full((n,), -1.1))
        self.scale = nn.Parameter(torch.full((1,), 0.3))

    def forward(self, x):
        f = x.flatten(-2)
        rho = torch.rsqrt(f.square().mean(-1, keepdim=True) + 1e-6)
        pre = torch.sigmoid(F.linear(f, self.fn) * rho * self.scale + self.base) + self.eps
        return (pre.unsqueeze(-1) * x).sum(-2)


class Compressor(nn.Module):
    """r tokens -> one row of width D; ratio 4 overlaps with the previous group."""

    def __init__(self, config, ratio, width):
        super().__init__()
        d, halves = config["hidden_size"], 2 if ratio == 4 else 1
        self.ratio, self.width = ratio, width
        self.wkv = Linear(halves * width, d)
        self.wgate = Linear(halves * width, d)
        self.ape = nn.Parameter(torch.randn(ratio, halves * width) * 0.3)
        self.norm = Norm(width)

    def forward(self, x, turn):
        r, w, b = self.ratio, self.width, x.shape[0]
        entries = x.shape[1] // r
        x = x[:, : entries * r]
        value = self.wkv(x).view(b, entries, r, -1)
        logit = self.wgate(x).view(b, entries, r, -1) + self.ape
        if r == 4:
            value, logit = self.overlap(value, 0.0), self.overlap(logit, -1e30)
        row = (torch.softmax(logit, 2) * value).sum(2)
        return rotate(self.norm(row), turn[: entries * r : r])  # [B, entries, width]

    def overlap(self, y, fill):
        """[B, n, 4, 2w] -> [B, n, 8, w]: half A of the previous group, half B of its own."""
        w = self.width
        first = torch.full_like(y[:, :1, :, :w], fill)
        return torch.cat([torch.cat([first, y[:, :-1, :, :w]], 1), y[..., w:]], 2)


class Indexer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads, self.width = config["index_n_heads"], config["index_head_dim"]
        self.wq_b = Linear(self.heads * self.width, config["q_lora_rank"])
        self.weights_proj = Linear(self.heads, config["hidden_size"])
        self.compressor = Compressor(config, 4, self.width)

    def forward(self, x, qr, turn):
        b, t, _ = x.shape
        q = rotate(self.wq_b(qr).view(b, t, self.heads, self.width), turn[:, None])
        k = self.compressor(x, turn)
        weight = self.weights_proj(x) * (self.width * self.heads) ** -0.5
        dots = product(q.flatten(1, 2), k.transpose(1, 2)).float().view(b, t, self.heads, -1)
        return (F.relu(dots) * weight.unsqueeze(-1)).sum(2)  # [B, T, entries]


def index_kl(mass, scores):
    """KL from the heads' summed attention over compressed rows to the indexer's softmax."""
    target = mass.detach().sum(2)
    total = target.sum(-1, keepdim=True)
    target = target / total.clamp(min=1e-9)
    logs = F.log_softmax(scores, -1)
    kl = (target * (target.clamp(min=1e-9).log() - logs.clamp(min=-100.0))).sum(-1)
    weight = (total.squeeze(-1) > 1e-4).float()
    return (kl * weight).sum() / weight.sum().clamp(min=1)


def link_loss(p, links, length, ratio, heads=2):
    """How little of the first heads' attention goes where the answer was said. p [B, T, h, S + 1] over
    `length` raw rows, then compressed ones; links [n, 4]: sequence, token, first and last token told."""
    if not len(links):
        return p.new_zeros((), dtype=torch.float32)
    row, token, first, last = (c.unsqueeze(1) for c in links.unbind(1))
    raw = torch.arange(length)
    entry = torch.arange(p.shape[-1] - length - 1)  # its row covers the group before it as well
    told = torch.cat([(raw >= first) & (raw <= last),
                      (entry >= first // ratio) & (entry <= last // ratio + 1)], 1)
    mass = (p[row[:, 0], token[:, 0], :heads, :-1].float() * told.unsqueeze(1)).sum(-1)
    return -(mass + 1e-4).log().mean()


def keep_top(scores, visible, k):
    """Mask [B, T, entries]: the k best scores among the visible."""
    kept = scores.detach().topk(k, -1)[1]
    return torch.minimum(torch.full_like(scores, HIDDEN).scatter_(-1, kept, 0.0), visible)


class Attention(nn.Module):
    def __init__(self, config, ratio):
        super().__init__()
        d, rank = config["hidden_size"], config["q_lora_rank"]
        self.h, self.D = config["num_attention_heads"], config["head_dim"]
        self.groups, self.ratio, self.linked = config["o_groups"], ratio, False
        self.wq_a = Linear(rank, d)
        self.q_norm = Norm(rank)
        self.wq_b = Linear(self.h * self.D, rank)
        self.wkv = Linear(self.D, d)
        self.kv_norm = Norm(self.D)
        self.wo_a = Linear(self.groups * config["o_lora_rank"], self.h * self.D // self.groups)
        self.wo_b = Linear(d, self.groups * config["o_lora_rank"], 0.3)
        self.attn_sink = nn.Parameter(torch.zeros(self.h))
        if ratio:
            self.compressor = Compressor(config, ratio, self.D)
        if ratio == 4:
            self.indexer = Indexer(config)

    def forward(self, x, view):
        b, t, _ = x.shape
        turn = view.turn(self.ratio)
        qr = self.q_norm(self.wq_a(x))
        q = rotate(rms(self.wq_b(qr).view(b, t, self.h, self.D)), turn[:, None])
        rows = [rotate(self.kv_norm(self.wkv(x)), turn)]
        mask, scores = [view.window[None, :, None]], None
        if self.ratio and t >= self.ratio:
            rows.append(self.compressor(x, turn))
            visible = view.visible(self.ratio)
            if self.ratio == 4 and (view.index_loss or visible.shape[1] > view.topk):
                scores = self.indexer(x.detach(), qr.detach(), turn) + visible
                if visible.shape[1] > view.topk:
                    visible = keep_top(scores, visible, view.topk)
            mask.append(visible[..., None, :] if visible.dim() == 3 else visible[None, :, None])
        rows = torch.cat(rows + [x.new_zeros(b, 1, self.D)], 1)
        s = product(q.flatten(1, 2) * self.D**-0.5, rows.transpose(1, 2)).view(b, t, self.h, -1)
        many = max(m.shape[0] for m in mask)
        mask = torch.cat([m.expand(many, -1, self.h, -1) for m in mask], -1)
        p = SinkSoftmax.apply(s, mask, self.attn_sink)
        o = product(p.flatten(1, 2), rows).float().view(b, t, self.h, self.D)
        o = rotate(o, turn.conj()[:, None]).view(b, t, self.groups, -1)
        wa = self.wo_a.weight.unflatten(0, (self.groups, -1))
        v = torch.cat([linear(o[:, :, g], wa[g]) for g in range(self.groups)], -1)
        kl = x.new_zeros(())
        if scores is not None and view.index_loss:
            kl = index_kl(p[..., t:-1].float(), scores)
        if self.linked and view.links is not None:
            view.link_loss = link_loss(p, view.links, t, self.ratio)
        return self.wo_b(v), kl


class Gate(nn.Module):
    def __init__(self, config, hashed):
        super().__init__()
        n, k = config["n_routed_experts"], config["num_experts_per_tok"]
        self.k, self.scale = k, config["routed_scaling_factor"]
        self.weight = nn.Parameter(torch.randn(n, config["hidden_size"]) / config["hidden_size"] ** 0.5)
        if hashed:
            generator = torch.Generator().manual_seed(20260424)
            table = torch.rand(config["vocab_size"], n, generator=generator).argsort(-1)[:, :k]
            self.register_buffer("tid2eid", table.contiguous())
        else:
            self.register_buffer("bias", torch.zeros(n))

    def forward(self, x, ids):
        s = torch.sqrt(F.softplus(F.linear(x, self.weight)))
        if hasattr(self, "tid2eid"):
            chosen = self.tid2eid[ids]
        else:
            chosen = (s.detach() + self.bias).topk(self.k, -1)[1]
        mask = torch.zeros_like(s).scatter_(-1, chosen, 1.0)
        s = s * mask
        return s / s.sum(-1, keepdim=True) * self.scale, mask.detach().flatten(0, -2).mean(0)

    def balance(self, load, gamma):
        """The published auxiliary-loss-free rule."""
        if hasattr(self, "bias"):
            self.bias += gamma * torch.sign(load.mean() - load)


class Experts(nn.Module):
    """n stacked experts: w1 gate and w3 up [n, I, d], w2 down [n, d, I]."""

    def __init__(self, config, n):
        super().__init__()
        d, i = config["hidden_size"], config["moe_intermediate_size"]
        self.w1 = nn.Parameter(torch.randn(n, i, d) / math.sqrt(d))
        self.w3 = nn.Parameter(torch.randn(n, i, d) / math.sqrt(d))
        self.w2 = nn.Parameter(torch.randn(n, d, i) * 0.3 / math.sqrt(i))


class MoE(nn.Module):
    def __init__(self, config, hashed):
        super().__init__()
        self.n, self.limit = config["n_routed_experts"], config["swiglu_limit"]
        self.gate = Gate(config, hashed)
        self.experts = Experts(config, self.n)
        self.shared = Experts(config, config["n_shared_experts"])

    def forward(self, x, ids):
        def joined(name):
            return torch.cat([getattr(self.experts, name), getattr(self.shared, name)])

        weight, load = self.gate(x, ids)
        weight = torch.cat([weight, torch.ones_like(weight[..., :1])], -1)
        g = linear(x, joined("w1").flatten(0, 1)).clamp(max=self.limit)
        u = linear(x, joined("w3").flatten(0, 1)).clamp(-self.limit, self.limit)
        a = (F.silu(g) * u).unflatten(-1, (self.n + 1, -1)) * weight.unsqueeze(-1)
        return linear(a.flatten(-2), joined("w2").permute(1, 0, 2).flatten(1)), load


class Block(nn.Module):
    def __init__(self, config, ratio, hashed, index):
        super().__init__()
        d = config["hidden_size"]
        self.attn_norm, self.ffn_norm = Norm(d), Norm(d)
        self.hc_attn, self.hc_ffn = Hyper(config, 2 * index), Hyper(config, 2 * index + 1)
        self.attn = Attention(config, ratio)
        self.ffn = MoE(config, hashed)

    def forward(self, x, ids, view):
        """x [B, T, n, d]. Only attention knows B and T, so the rest compiles once per B * T."""
        flat = x.flatten(0, 1)
        y, post, mix = self.hc_attn.pre(flat, self.attn_norm)
        y, kl = self.attn(y.view(*ids.shape, -1), view)
        flat = self.hc_attn.post(flat, y.flatten(0, 1), post, mix)
        y, post, mix = self.hc_ffn.pre(flat, self.ffn_norm)
        y, load = self.ffn(y, ids.flatten())
        return self.hc_ffn.post(flat, y, post, mix).view(x.shape), kl, load

    def compile_parts(self, attention):
        for hyper in (self.hc_attn, self.hc_ffn):
            hyper.pre = torch.compile(hyper.pre, dynamic=False)
            hyper.post = torch.compile(hyper.post, dynamic=False)
        if attention:
            self.attn.compile(dynamic=False)
        self.ffn.compile(dynamic=False)


class Mtp(nn.Module):
    def __init__(self, config, index):
        super().__init__()
        d = config["hidden_size"]
        self.e_proj, self.h_proj = Linear(d, d), Linear(d, d)
        self.enorm, self.hnorm, self.norm = Norm(d), Norm(d), Norm(d)
        self.block = Block(config, config["compress_ratios"][-1], False, index)
        self.hc_head = HyperHead(config)


class View:
    """What one pass may see: rotations, window, visible compressed rows, how selection works. With
    `links` (`link_loss`) the last layer of ratio 4 also leaves there how well it looks them up."""

    def __init__(self, config, length, window=None, positions=None, index_loss=False, topk=None):
        window = window or config["sliding_window"]
        self.topk = topk or config["index_topk"]
        self.index_loss, self.length = index_loss, length
        self.links, self.link_loss = None, 0.0
        positions = torch.arange(length) if positions is None else positions
        self.turns = [cis(positions, frequencies(config, c)) for c in (False, True)]
        t = torch.arange(length)
        age = t[:, None] - t
        outside = (age < 0) | (age >= window)
        self.window = torch.zeros(length, length).masked_fill_(outside, HIDDEN)
        self.hidden = {}
        for ratio in {r for r in config["compress_ratios"] if r}:
            hidden = torch.arange(length // ratio) >= (t[:, None] + 1) // ratio
            self.hidden[ratio] = torch.zeros(hidden.shape).masked_fill_(hidden, HIDDEN)

    def turn(self, ratio):
        return self.turns[1 if ratio else 0]

    def visible(self, ratio):
        return self.hidden[ratio]


class Minnow(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        d, layers = config["hidden_size"], config["num_hidden_layers"]
        self.embed = nn.Parameter(torch.randn(config["vocab_size"], d) * 0.7)
        self.head = nn.Parameter(torch.randn(config["vocab_size"], d) * 0.02)
        self.layers = nn.ModuleList(
            Block(config, config["compress_ratios"][i], i < config["num_hash_layers"], i)
            for i in range(layers)
        )
        self.norm, self.hc_head = Norm(d), HyperHead(config)
        self.mtp = Mtp(config, layers)
        [b.attn for b in self.layers if b.attn.ratio == 4][-1].linked = True

    def trunk(self, ids, view):
        """ids [B, T] -> streams [B, T, n, d], summed indexer KL, expert loads per layer."""
        x = F.embedding(ids, self.embed).unsqueeze(-2).expand(-1, -1, self.config["hc_mult"], -1)
        x, total, loads = x.contiguous(), 0.0, []
        for layer in self.layers:
            x, kl, load = layer(x, ids, view)
            total = total + kl
            loads.append(load)
        return x, total, loads

    def logits(self, x):
        return linear(self.norm(self.hc_head(x)), self.head)

    def draft(self, x, next_ids, view):
        """x: trunk streams at t [B, T, n, d]; next_ids: tokens t + 1. Predicts tokens t + 2."""
        m = self.mtp
        e = m.e_proj(m.enorm(F.embedding(next_ids, self.embed)))
        z = e.unsqueeze(-2) + m.h_proj(m.hnorm(x))
        y, _, load = m.block(z, next_ids, view)
        return linear(m.norm(m.hc_head(y)), self.head), load

    def forward(self, ids, view):
        return self.logits(self.trunk(ids, view)[0])
