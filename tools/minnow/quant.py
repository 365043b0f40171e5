"""FP8 (E4M3, 128x128 blocks) and FP4 (E2M1, 1x32 blocks) weights with power-of-two scales.

`fake_fp8` and `fake_fp4` return the dequantised weight with a straight-through gradient;
`pack_fp8` and `pack_fp4` return the stored bytes. Both go through the same scale rule, so that
what training saw is exactly what the file holds.
"""

import torch

FP4_VALUES = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
# Midpoints between neighbouring codes; a tie goes to the even code.
_MIDPOINTS = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0])
_TIE_GOES_UP = torch.tensor([False, True, False, True, False, True, False])


def pow2_scale(amax, largest):
    """Smallest power of two s with amax / s <= largest; 2^-126 at least."""
    _, exponent = torch.frexp(torch.clamp(amax, min=1e-30) / largest)
    scale = torch.ldexp(torch.ones_like(amax), exponent)
    half = scale * 0.5
    return torch.clamp(torch.where(half * largest >= amax, half, scale), min=2.0**-126)


def fp8_parts(w):
    """w [out, in] -> (codes as float [out, in], scales [out/128, in/128])."""
    rows, cols = w.shape
    blocks = w.view(rows // 128, 128, cols // 128, 128)
    scale = pow2_scale(blocks.abs().amax((1, 3)), 448.0)
    codes = (blocks / scale[:, None, :, None]).to(torch.float8_e4m3fn)
    return codes.view(rows, cols), scale


def fp4_parts(w):
    """w [..., in] -> (code index 0..15 [..., in], scales [..., in/32])."""
    groups = w.reshape(*w.shape[:-1], -1, 32)
    scale = pow2_scale(groups.abs().amax(-1), 6.0)
    x = (groups / scale[..., None]).reshape(w.shape)
    magnitude = x.abs().contiguous()
    lower = torch.bucketize(magnitude, _MIDPOINTS)  # ties fall to the lower code
    tie = magnitude == _MIDPOINTS[lower.clamp(max=6)]
    code = lower + (tie & _TIE_GOES_UP[lower.clamp(max=6)]).long()
    return code + 8 * (x < 0).long(), scale


def fp4_value(code):
    value = FP4_VALUES[code & 7]
    return torch.where(code >= 8, -value, value)


def fake_fp8(w):
    with torch.no_grad():
        codes, scale = fp8_parts(w)
        big = scale.repeat_interleave(128, 0).repeat_interleave(128, 1)
        delta = codes.float() * big - w
    return w + delta


def fake_fp4(w):
    with torch.no_grad():
        code, scale = fp4_parts(w)
        delta = fp4_value(code) * scale.repeat_interleave(32, -1) - w
    return w + delta


def e8m0(scale):
    """Power-of-two scales -> their exponent byte."""
    _, exponent = torch.frexp(scale)
    return (exponent - 1 + 127).to(torch.uint8)


def pack_fp8(w):
    codes, scale = fp8_parts(w)
    return codes, e8m0(scale).view(torch.float8_e8m0fnu)


def pack_fp4(w):
    """w [out, in] -> (I8 [out, in/2], low nibble = even input), scales [out, in/32]."""
    code, scale = fp4_parts(w)
    packed = (code[:, 0::2] | (code[:, 1::2] << 4)).to(torch.uint8).view(torch.int8)
    return packed, e8m0(scale).view(torch.float8_e8m0fnu)


def unpack_fp8(codes, scale_bytes):
    scale = torch.ldexp(torch.ones(scale_bytes.shape), scale_bytes.view(torch.uint8).int() - 127)
    return codes.float() * scale.repeat_interleave(128, 0).repeat_interleave(128, 1)


def unpack_fp4(packed, scale_bytes):
    byte = packed.view(torch.uint8).long()
    code = torch.stack([byte & 15, byte >> 4], -1).flatten(-2)
    scale = torch.ldexp(torch.ones(scale_bytes.shape), scale_bytes.view(torch.uint8).int() - 127)
    return fp4_value(code) * scale.repeat_interleave(32, -1)
