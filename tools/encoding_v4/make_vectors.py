#!/usr/bin/env python3
"""Writes tests/data/encoding_v4/{random_prompts,random_replies}.jsonl: random conversations with the
digest of what the published encoder renders for them, and random replies with what it reads in them.

usage: make_vectors.py ENCODER_DIR OUT_DIR      (ENCODER_DIR holds the published encoding_dsv4.py)
"""
import hashlib
import json
import random
import sys

WORDS = ("Rome", "due", "caffè", "天气", "温泉", "snow☃", "🙂", "x<y", "a&b", '"quoted"', "tab\there",
         "line\nbreak", "\n\n", "<tool_result>", "{}", "{schema}", "3.14", "<think", "|User|", "é", "ok",
         "back\\slash", "</b>", "\r\n", " ", "don't", "_calls", "</ think>", "٣", "\u200b")
TASKS = ("action", "query", "authority", "domain", "title", "read_url")
NUMBERS = (0, 1, -7, 1.5, 1e22, 1e-7, 2.0, 123456789012345678901234567890, 0.1, -0.5, 1e16, 12345.678)


class Source:
    def __init__(self, seed):
        self.rng = random.Random(seed)

    def chance(self, p):
        return self.rng.random() < p

    def text(self, low=1, high=8):
        return " ".join(self.rng.choice(WORDS) for _ in range(self.rng.randint(low, high)))

    def name(self):
        return self.rng.choice(("get_time", "search", "open-file", "Run2", "sum"))

    def key(self):
        return self.rng.choice(("tz", "utc", "query", "è", "k k", "n", "list"))

    def value(self, depth=0):
        kind = self.rng.randrange(9 if depth < 2 else 6)
        if kind < 3:
            return self.text(0, 3)
        if kind == 3:
            return self.rng.choice(NUMBERS)
        if kind == 4:
            return self.rng.choice((True, False))
        if kind == 5:
            return None
        if kind == 6:
            return [self.value(depth + 1) for _ in range(self.rng.randint(0, 3))]
        return {self.key(): self.value(depth + 1) for _ in range(self.rng.randint(0, 3))}

    def arguments(self):
        if self.chance(0.1):
            return self.rng.choice(("not json", "", '{"a": ', "{'a': 1}"))
        found = {self.key(): self.value() for _ in range(self.rng.randint(0, 3))}
        return json.dumps(found, ensure_ascii=self.chance(0.3), indent=self.rng.choice((None, 1)))

    def tool(self):
        function = {"name": self.name()}
        if self.chance(0.7):
            function["description"] = self.text(1, 4)
        function["parameters"] = {"type": "object", "properties": {
            self.key(): {"type": self.rng.choice(("string", "number")), "default": self.value(2)}}}
        return {"type": "function", "function": function}

    def offers(self, message):
        if self.chance(0.2):
            message["tools"] = [self.tool() for _ in range(self.rng.randint(0, 2))]
        if self.chance(0.12):
            message["response_format"] = self.rng.choice(
                ({}, {"type": "object", "x": 1}, {"type": "object", "v": self.value()}, None))
        return message

    def tool_content(self):
        if self.chance(0.75):
            return self.text(0, 5)
        return [self.rng.choice(({"type": "text", "text": self.text(0, 3)}, {"type": "image_url"},
                                 {"type": "audio"})) for _ in range(self.rng.randint(0, 3))]

    def assistant(self):
        message = {"role": "assistant"}
        if self.chance(0.9):
            message["content"] = self.rng.choice((None, "", self.text(), self.text()))
        if self.chance(0.6):
            message["reasoning_content"] = self.text(0, 6)
        if self.chance(0.4):
            message["tool_calls"] = []
            for i in range(self.rng.randint(0, 3)):
                call = {"type": "function",
                        "function": {"name": self.name(), "arguments": self.arguments()}}
                if self.chance(0.8):
                    call["id"] = f"c{i}"
                message["tool_calls"].append(call)
        if self.chance(0.05):
            message["wo_eos"] = True
        return message

    def message(self):
        role = self.rng.choice(("system", "developer", "user", "user", "user", "assistant", "assistant",
                                "assistant", "tool", "tool", "latest_reminder"))
        if role == "assistant":
            message = self.assistant()
        elif role == "tool":
            message = {"role": role, "tool_call_id": self.rng.choice(("c0", "c1", "c2", "", "zz")),
                       "content": self.tool_content()}
        elif role == "user":
            message = {"role": role, "content": self.text(0, 6)}
        elif role == "latest_reminder":
            message = {"role": role, "content": self.text(1, 3)}
        else:
            message = self.offers({"role": role, "content": self.text(1, 5)})
            if role == "system" and self.chance(0.1):
                del message["content"]
        if self.chance(0.08):
            message["task"] = self.rng.choice(TASKS)
        if self.chance(0.05):
            message["mask"] = 1
        return message

    def conversation(self):
        messages = [self.message() for _ in range(self.rng.randint(1, 9))]
        if self.chance(0.5):
            messages.insert(0, self.offers({"role": "system", "content": self.text()}))
        return {"messages": messages,
                "reasoning_effort": self.rng.choice(("none", "high", "high", "max")),
                "drop_thinking": self.chance(0.75)}


def digest(text):
    data = text.encode()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def prompts(encoder, count):
    source = Source(4)
    for _ in range(count):
        conversation = source.conversation()
        effort = conversation["reasoning_effort"]
        rendered = encoder.encode_messages(
            conversation["messages"], thinking_mode="chat" if effort == "none" else "thinking",
            drop_thinking=conversation["drop_thinking"],
            reasoning_effort="max" if effort == "max" else source.rng.choice((None, "high")))
        yield {"conversation": conversation, **digest(rendered)}


def replies(encoder, count):
    source = Source(5)
    while count > 0:
        message = {**source.assistant(), "wo_eos": False}
        mode = source.rng.choice(("chat", "thinking"))
        start = [{"role": "user", "content": "?"}]
        prompt = encoder.encode_messages(start, thinking_mode=mode)
        whole = encoder.encode_messages(start + [message], thinking_mode=mode)
        text = whole[len(prompt):]
        try:
            found = encoder.parse_message_from_completion_text(text, thinking_mode=mode)
        except (AssertionError, ValueError):
            continue
        calls = [[c["function"]["name"], c["function"]["arguments"]] for c in found["tool_calls"]]
        count -= 1
        yield {"thinking": mode == "thinking", "text": text, "reasoning": found["reasoning_content"],
               "content": found["content"], "calls": calls}


def write(path, rows):
    with open(path, "w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


def main():
    encoder_dir, out_dir = sys.argv[1:]
    sys.path.insert(0, encoder_dir)
    import encoding_dsv4 as encoder
    write(f"{out_dir}/random_prompts.jsonl", prompts(encoder, 360))
    write(f"{out_dir}/random_replies.jsonl", replies(encoder, 120))


if __name__ == "__main__":
    main()
