#!/usr/bin/env python3
"""Writes tests/golden/rounding.safetensors: FP8, FP4, bfloat16 and Hadamard rounding, bit for bit.

Codes come from a search over all codes with exact distances and are asserted against the
framework's casts where it has them, so neither is trusted alone.
"""

import argparse
import math
from pathlib import Path

import torch
from safetensors.torch import save_file

import vendor_kernels as kernels


def bf16(x):
    return x.to(torch.bfloat16).float()


def special_rows(block, top):
    """Rows of exact ties, scale boundaries, the amax floor, signed zeros and extremes."""
    steps = torch.arange(block) % 16
    ties = torch.tensor(
        [
            0.25,
            0.75,
            1.25,
            1.75,
            2.5,
            3.5,
            5.0,
            6.0,
            -0.25,
            -0.75,
            -1.25,
            -1.75,
            -2.5,
            -3.5,
            -5.0,
            -6.0,
        ]
    )
    eighths = torch.tensor(
        [17.0, 19, 21, 23, 25, 27, 29, 31, -17, -19, -21, -23, -25, -27, -29, -31]
    )
    rows = [
        torch.zeros(block),
        -torch.zeros(block),
        torch.full((block,), 2.0e-6),
        torch.full((block,), -1.0e-4),
        ties[steps],
        ties[steps] * 2.0**-9,
        ties[steps] * 2.0**11,
        torch.where(steps == 0, 448.0, eighths[steps]),
        torch.where(steps == 0, -448.0 * 2.0**-7, eighths[steps] / 128),
        torch.where(steps == 3, top, 2.0**-9 * (steps - 8)),
        torch.where(steps == 3, top * 1.0078125, 0.1 * (steps - 8)),
        torch.where(steps == 5, 3.3895314e38, 1.0e38 * (steps / 16 - 0.5)),
        torch.full((block,), 1.1754944e-38),
        torch.where(steps == 1, top, 2.0**-10 * steps),
        torch.where(steps == 1, top, -(2.0**-9) * (steps + 0.5)),
    ]
    return bf16(torch.stack(rows))


def random_rows(block, count, generator):
    x = torch.randn((count, block), generator=generator)
    return bf16(x * torch.randint(-24, 25, (count, 1), generator=generator).float().exp2())


def nearest_code(v, values):
    """Code of the nearest finite value, ties to the even code, the sign kept at zero. v: fp32,
    exact in double."""
    half = [float(x) for x in values]
    result = []
    for x in v.flatten().tolist():
        a = abs(x)
        best = min(range(len(half)), key=lambda c: (abs(a - half[c]), c & 1))
        result.append(best | (len(values) if math.copysign(1.0, x) < 0 else 0))
    return torch.tensor(result).reshape(v.shape)


def exact_scale(amax, inverse):
    """Smallest power of two not below fp32(amax · fp32(inverse)), by frexp instead of bits."""
    product = torch.tensor(amax, dtype=torch.float32) * torch.tensor(inverse, dtype=torch.float32)
    mantissa, exponent = math.frexp(float(product))
    return 2.0 ** (exponent - 1 if mantissa == 0.5 else exponent)


def blocks(x, floor, inverse, top, values):
    """(scale bytes [n, 1] U8, codes [n, block] U8, dequantised bf16 values as F32)."""
    scale = torch.tensor(
        [[exact_scale(max(float(r.abs().max()), floor), inverse)] for r in x], dtype=torch.float64
    )
    scaled = (x.double() / scale).float()
    codes = nearest_code(scaled.clamp(-top, top), values)
    magnitude = torch.tensor(values, dtype=torch.float64)[codes % len(values)]
    value = torch.where(codes >= len(values), -magnitude, magnitude) * scale
    byte = (torch.log2(scale).round() + 127).to(torch.uint8)
    return byte, codes.to(torch.uint8), bf16(value.float())


def e4m3_vectors(block, generator):
    values = torch.arange(0x7F, dtype=torch.uint8).view(torch.float8_e4m3fn).double().tolist()
    # Padded to 128 codes so that bit 7 is the sign; code 0x7F is NaN and never chosen.
    values.append(math.inf)
    x = torch.cat([special_rows(block, 448.0), random_rows(block, 24, generator)])
    byte, code, value = blocks(x, float(torch.tensor(1e-4)), 1.0 / 448.0, 448.0, values)
    q, scale = kernels.quantise_e4m3(x, block)
    assert torch.equal(q.view(torch.uint8), code), "framework cast and search disagree"
    assert torch.equal(scale.log2() + 127, byte.float())
    return {"input": x, "scale": byte, "code": code, "value": value}


def e2m1_vectors(generator):
    x = torch.cat([special_rows(32, 6.0), random_rows(32, 48, generator)])
    byte, code, value = blocks(
        x, 6 * 2.0**-126, 1.0 / 6.0, 6.0, kernels.E2M1_VALUES.double().tolist()
    )
    mine, scale = kernels.quantise_e2m1(x, 32)
    assert torch.equal(mine.to(torch.uint8), code) and torch.equal(scale.log2() + 127, byte.float())
    return {"input": x, "scale": byte, "code": code, "value": value}


def bf16_vectors(generator):
    """Random fp32 patterns, exact ties around both parities, subnormals, and values that
    overflow."""
    bits = torch.randint(-(2**31), 2**31 - 1, (448,), generator=generator, dtype=torch.int64)
    finite = bits[(bits & 0x7F800000) != 0x7F800000]
    ties = (finite[:96] & ~0xFFFF) | 0x8000
    edges = torch.tensor(
        [0, -(2**31), 1, 0x8000, 0x8001, 0x18000, 0x7F7F7FFF, 0x7F7F8000, 0x7F7FFFFF, 0x00800000]
    )
    x = torch.cat([finite, ties, edges]).to(torch.int32).view(torch.float32)
    return {"input": x, "value": bf16(x)}


def hadamard_vectors(generator):
    x = bf16(torch.randn((12, 128), generator=generator))
    value = kernels.hadamard_transform(x.bfloat16(), 128**-0.5).float()
    signs = torch.tensor(
        [[(-1.0) ** bin(i & j).count("1") for j in range(128)] for i in range(128)]
    ).double()
    assert torch.allclose(value.double(), x.double() @ signs * 128**-0.5, atol=2e-2)
    return {"input": x, "value": value}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", default=Path(__file__).resolve().parents[2] / "tests/golden")
    out = Path(parser.parse_args().out)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(20269)
    groups = {
        "e4m3_128": e4m3_vectors(128, generator),
        "e4m3_64": e4m3_vectors(64, generator),
        "e2m1_32": e2m1_vectors(generator),
        "bf16": bf16_vectors(generator),
        "hadamard_128": hadamard_vectors(generator),
    }
    vectors = {
        f"{group}.{name}": t.contiguous() for group, ts in groups.items() for name, t in ts.items()
    }
    codes = torch.arange(256, dtype=torch.int64).to(torch.uint8)
    vectors["e4m3.decode"] = codes.view(torch.float8_e4m3fn).float()
    vectors["e8m0.decode"] = codes.view(torch.float8_e8m0fnu).float()
    save_file(
        vectors,
        out / "rounding.safetensors",
        metadata={"generator": "tools/golden/capture_rounding.py", "torch": torch.__version__},
    )
    print({name: tuple(t.shape) for name, t in vectors.items()})


if __name__ == "__main__":
    main()
