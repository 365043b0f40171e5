"""Trains minnow's byte-level BPE and writes tokenizer.json in the published form.

Ids: 0-2 the base control tokens, 3-258 the bytes in the GPT-2 table's order, then the merges, then
the control tokens and unused rows up to the vocabulary size. Digits never merge, so that numbers
are read and written digit by digit."""

import argparse
import json
import re
from pathlib import Path

from tokenizers import Tokenizer, trainers

import chat
import config
import words
from dialogues import dialogue

BASE = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"]
CONTROL = [
    "<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>", "<｜User｜>", "<｜Assistant｜>", "<think>",
    "</think>", "｜DSML｜", "<｜latest_reminder｜>", "<｜action｜>", "<｜query｜>", "<｜authority｜>",
    "<｜domain｜>", "<｜title｜>", "<｜extracted_url｜>", "<｜read_url｜>",
]
# Reasoning and tool markup are plain added tokens, so that decoding never hides them.
NOT_SPECIAL = {"<think>", "</think>", "｜DSML｜"}
PATTERNS = [
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
]


def byte_symbols():
    """The 256 byte symbols, in the published id order."""
    own = list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    moved = [b for b in range(256) if b not in own]
    return [chr(b) for b in own] + [chr(256 + i) for i in range(len(moved))]


def pre_tokenizer_json():
    split = [
        {"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False}
        for p in PATTERNS
    ]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {"type": "Sequence", "pretokenizers": split + [level]}


def corpus(texts):
    """World text without digits; the words of the closed vocabulary in both of their forms."""
    control = re.compile("|".join(re.escape(t) for t in BASE + CONTROL))
    for task_seed in range(2):
        for i in range(6000):
            d = dialogue(f"tokenizer{task_seed}", i)
            text = chat.prompt_text(d.messages, None if i % 20 else d.tools, d.thinking)
            for piece in control.split(text):
                yield re.sub(r"[0-9]+", "\n", piece)
    pools = [words.NAMES, words.CITIES, words.ANIMALS, words.JOBS, words.FOODS, words.THINGS,
             words.COLOURS, words.ROOMS, words.WEATHER]
    for pool in pools:
        for word in pool:
            for _ in range(300):
                yield word
                yield "x " + word
    schemas = chat.tools_text(list(words.TOOLS.values()))
    for _ in range(300):
        for piece in control.split(schemas):
            yield piece
    for text in texts:
        yield re.sub(r"[0-9]+", "\n", text)


def build(size, texts):
    symbols = byte_symbols()
    merges_wanted = size - len(BASE) - 256 - len(CONTROL)
    blank = json.dumps(
        {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
         "normalizer": {"type": "Sequence", "normalizers": []},
         "pre_tokenizer": pre_tokenizer_json(), "post_processor": None, "decoder": None,
         "model": {"type": "BPE", "vocab": {}, "merges": []}})
    tokenizer = Tokenizer.from_str(blank)
    trainer = trainers.BpeTrainer(
        vocab_size=256 + merges_wanted, initial_alphabet=symbols, show_progress=False, min_frequency=2)
    tokenizer.train_from_iterator(corpus(texts), trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"][:merges_wanted]
    merges = [m if isinstance(m, str) else " ".join(m) for m in merges]
    tokens = BASE + symbols + [m.replace(" ", "") for m in merges]
    tokens += [f"<｜place▁holder▁no▁{i}｜>" for i in range(size - len(tokens) - len(CONTROL))] + CONTROL
    first_added = len(BASE) + 256 + len(merges)
    added = [
        {"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": t not in NOT_SPECIAL}
        for i, t in enumerate(tokens) if i < len(BASE) or i >= first_added
    ]
    level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": []},
        "pre_tokenizer": pre_tokenizer_json(),
        "post_processor": dict(level, trim_offsets=False), "decoder": level,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "vocab": {t: i for i, t in enumerate(tokens[:first_added])}, "merges": merges,
        },
    }


def special(content):
    return {"__type": "AddedToken", "content": content, "lstrip": False, "normalized": True,
            "rstrip": False, "single_word": False}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", choices=config.SIZES, default="cpu")
    parser.add_argument("--text", type=Path, nargs="*", default=[], help="plain English to mix in")
    args = parser.parse_args()
    shape = config.SIZES[args.size]
    args.out.mkdir(parents=True, exist_ok=True)
    built = build(shape["vocab_size"], [p.read_text()[:60000] for p in args.text])
    write = lambda name, value: (args.out / name).write_text(
        json.dumps(value, ensure_ascii=False, indent=1) + "\n")
    write("tokenizer.json", built)
    write("tokenizer_config.json", {
        "add_bos_token": False, "add_eos_token": False, "bos_token": special(BASE[0]),
        "clean_up_tokenization_spaces": False, "eos_token": special(BASE[1]), "legacy": True,
        "model_max_length": shape["max_position_embeddings"], "pad_token": special(BASE[1]),
        "sp_model_kwargs": {}, "unk_token": None, "tokenizer_class": "PreTrainedTokenizerFast"})
    # A small model speaks best close to its most likely words.
    write("generation_config.json", {
        "_from_model_config": True, "bos_token_id": 0, "eos_token_id": 1, "do_sample": True,
        "temperature": 0.2, "top_p": 0.95, "transformers_version": "4.57.1"})


if __name__ == "__main__":
    main()
