"""Writes the fixed held-out prompts that the gate and `make eval-minnow` run.

    eval_prompts.py --tokenizer FILE OUT     -> OUT/gate.jsonl (100 per task), OUT/full.jsonl (400),
                                                OUT/long.jsonl (lookups at 512, 2k, 8k, 32k tokens)

One line: {"id", "task", "messages", "tools"?, "response_format"?, "thinking": "chat" | "high",
"max_tokens", "check": {"kind", "value"}, "context_tokens"}. README.md beside the files says what each
kind of check means.

A long prompt is stored as a recipe, so that the files stay small: {"fill": {"sentences": [...],
"count": N, "multiplier": M, "offset": K, "facts": [[position, text], ...], "question": Q}}. Its user
message is built by `expand`: sentence number i is sentences[(i * M + K) % len(sentences)], the facts
go in front of the sentence at their position, all joined by single spaces, then a newline and Q.
"""

import argparse
import json
import random
from pathlib import Path

import data
import measure
import words
from world import World

MAX_TOKENS = {"copy": 48, "json": 80, "tool": 96, "talk": 48, "think_sum": 64, "think_lookup": 64}
LONG = {512: 40, 2048: 20, 8192: 8, 32768: 4}


def prompt(task, index, encoder):
    d = measure.held_out(task, index, "eval")
    kind, value = d.checks[-1]
    messages = d.messages
    while messages[-1]["role"] != "assistant":  # the reply under test is the last one
        messages = messages[:-1]
    ids, start = measure.last_reply(encoder, d)
    line = {
        "id": f"{task}-{index}",
        "task": task,
        "messages": [{k: v for k, v in m.items() if k != "response_format"} for m in messages[:-1]],
    }
    if d.tools:
        line["tools"] = d.tools
    if messages[0].get("response_format"):
        line["response_format"] = messages[0]["response_format"]
    line.update(
        thinking="high" if d.thinking else "chat",
        max_tokens=MAX_TOKENS.get(task, 32),
        check={"kind": kind, "value": value},
        context_tokens=start,
    )
    return line


def expand(fill):
    """The user message of a long prompt."""
    facts = {}
    for position, text in fill["facts"]:
        facts.setdefault(position, []).append(text)
    out, lines = [], fill["sentences"]
    for i in range(fill["count"]):
        out += facts.get(i, [])
        out.append(lines[(i * fill["multiplier"] + fill["offset"]) % len(lines)])
    return " ".join(out) + "\n" + fill["question"]


def long_prompt(length, index, encoder):
    """One question about one of 12 facts spread over `length` tokens of filler."""
    rng = random.Random(f"long/{length}/{index}")
    world = World(f"long{length}", "lookup", index, held_out=True)
    facts = world.facts(12, 1)
    question, answer = world.question(facts[0])
    per_line = sum(len(encoder.ids(" " + s)) for s in words.FILLER) / len(words.FILLER)
    fact_tokens = sum(len(encoder.ids(" " + f["text"])) for f in facts)
    count = int((length - fact_tokens - 24) / per_line)
    fill = {
        "sentences": words.FILLER, "count": count, "multiplier": 7, "offset": rng.randrange(30),
        "facts": sorted([[rng.randrange(count), f["text"]] for f in facts]),
        "question": question,
    }
    tokens = len(encoder.ids(expand(fill))) + 4
    return {
        "id": f"lookup_{length}-{index}", "task": f"lookup_{length}", "fill": fill,
        "thinking": "chat", "max_tokens": 32, "check": {"kind": "exact", "value": answer},
        "context_tokens": tokens,
    }


def write(path, lines):
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True)
    args = parser.parse_args()
    encoder = data.Encoder(args.tokenizer)
    args.out.mkdir(parents=True, exist_ok=True)
    write(args.out / "gate.jsonl",
          [prompt(task, i, encoder) for task in measure.TASKS for i in range(100)])
    write(args.out / "full.jsonl",
          [prompt(task, 100 + i, encoder) for task in measure.TASKS for i in range(400)])
    write(args.out / "long.jsonl",
          [long_prompt(n, i, encoder) for n, count in LONG.items() for i in range(count)])


if __name__ == "__main__":
    main()
