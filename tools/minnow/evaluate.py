"""Measures an exported minnow in PyTorch, from its files, in fp32, greedy.

    evaluate.py MODEL PROMPTS.jsonl [--limit N] [--tasks a,b] [--out FILE]

A reply is first checked by one pass over prompt and right reply; only where that differs is a reply
generated, to see whether it is at least well-formed.
"""

import argparse
import json
import math
from pathlib import Path

import torch
from safetensors.torch import load_file

import chat
import data
import eval_prompts
import model as models
import quant


def place(net, name):
    """The parameter (or a slice of it) that an official tensor name fills."""
    parts = name.removesuffix(".weight").replace("hc_attn_", "hc_attn.").replace("hc_ffn_", "hc_ffn.")
    parts = parts.replace("hc_head_", "hc_head.").replace("shared_experts.", "shared.").split(".")
    if name in ("embed.weight", "head.weight"):
        return getattr(net, parts[0])
    at = net
    if parts[:2] == ["mtp", "0"]:
        at, parts = net.mtp, parts[2:]
        if not hasattr(at, parts[0]):
            at = at.block
    while parts:
        part = parts.pop(0)
        if part == "experts":
            return getattr(at.experts, parts[1])[int(parts[0])]
        if part == "shared":
            return getattr(at.shared, parts[0])[0]
        at = at[int(part)] if part.isdigit() else getattr(at, part)
    return at.weight if isinstance(at, torch.nn.Module) else at


def load(directory):
    """An exported model with its weights dequantised exactly."""
    net = models.Minnow(json.loads((directory / "config.json").read_text()))
    index = json.loads((directory / "model.safetensors.index.json").read_text())
    tensors = {}
    for file in sorted(set(index["weight_map"].values())):
        tensors.update(load_file(directory / file))
    with torch.no_grad():
        for name, tensor in tensors.items():
            if name.removesuffix(".scale") + ".weight" in tensors and name.endswith(".scale"):
                continue
            scale = tensors.get(name.removesuffix(".weight") + ".scale")
            if scale is not None and tensor.dtype == torch.float8_e4m3fn:
                tensor = quant.unpack_fp8(tensor, scale)
            elif scale is not None and tensor.dtype == torch.int8:
                tensor = quant.unpack_fp4(tensor, scale)
            place(net, name).copy_(tensor)
    models.Precision.dtype = torch.float32
    return net


@torch.no_grad()
def logits(net, ids):
    return net(torch.tensor([ids]), models.View(net.config, len(ids)))[0]


def generate(net, ids, count):
    out = []
    while len(out) < count:
        token = int(logits(net, ids + out)[-1].argmax())
        if token == net.config["eos_token_id"]:
            break
        out.append(token)
    return out


def right_reply(line):
    """The text after the prompt that the check accepts, or None if several are right."""
    check, value = line["check"], line["check"]["value"]
    if check["kind"] == "json":
        return chat.dumps(value)
    if check["kind"] == "tool_call":
        call = {"function": {"name": value["name"], "arguments": json.dumps(value["arguments"])}}
        return chat.calls_text([call])
    return value if check["kind"] == "exact" else None


def judge(line, reply):
    """-> (well-formed, right) of a generated reply."""
    kind, value = line["check"]["kind"], line["check"]["value"]
    content = reply.split(chat.END_THINK)[-1] if line["thinking"] == "high" else reply
    if kind == "exact":
        return True, content.strip() == value
    if kind == "number":
        runs = "".join(c if c.isdigit() else " " for c in content).split()
        return bool(runs), bool(runs) and int(runs[-1]) == value
    if kind == "json":
        try:
            return True, json.loads(content) == value
        except ValueError:
            return False, False
    names = {t["function"]["name"]: t["function"]["parameters"] for t in line["tools"]}
    for name, schema in names.items():
        for arguments in candidates(content, schema):
            text = chat.calls_text([{"function": {"name": name, "arguments": json.dumps(arguments)}}])
            if content.strip() == text.strip():
                typed = all(isinstance(arguments[k], int) == (v["type"] == "integer")
                            for k, v in schema["properties"].items())
                return typed, {"name": name, "arguments": arguments} == value
    return False, False


def candidates(content, schema):
    """Arguments that `content` may hold under `schema`, in the schema's order."""
    arguments = {}
    for key in schema["properties"]:
        for flag in ("true", "false"):
            head = f'<{chat.DSML}parameter name="{key}" string="{flag}">'
            if head in content:
                raw = content.split(head)[1].split(f"</{chat.DSML}parameter>")[0]
                try:
                    arguments[key] = raw if flag == "true" else json.loads(raw)
                except ValueError:
                    return []
    return [arguments] if len(arguments) == len(schema["properties"]) else []


def request(line):
    """Messages as `chat.render` takes them: format on the system message, recipes expanded."""
    if "fill" in line:
        return [{"role": "user", "content": eval_prompts.expand(line["fill"])}]
    messages = [dict(m) for m in line["messages"]]
    if line.get("response_format"):
        messages[0]["response_format"] = line["response_format"]
    return messages


def run(net, encoder, line):
    prompt = encoder.ids(chat.prompt_text(request(line), line.get("tools"), line["thinking"] == "high"))
    expected = right_reply(line)
    if expected is not None and line["thinking"] == "chat":
        reply = encoder.ids(expected + chat.EOS)
        best = logits(net, prompt + reply)[len(prompt) - 1 : -1].argmax(-1)
        if best.tolist() == reply or len(prompt) > 1500:
            return best.tolist() == reply, best.tolist() == reply, expected
    tokens = generate(net, prompt, line["max_tokens"])
    text = encoder.tokenizer.decode(tokens, skip_special_tokens=False)
    return *judge(line, text), text


def interval(right, n):
    """95 % Wilson interval."""
    p, z = right / n, 1.96
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--limit", type=int, default=10**9, help="per task")
    parser.add_argument("--tasks")
    parser.add_argument("--wrong", type=int, default=0, help="show so many wrong replies per task")
    args = parser.parse_args()
    torch.set_num_threads(1)
    net, encoder = load(args.model), data.Encoder(args.model / "tokenizer.json")
    totals = {}
    for text in args.prompts.read_text().splitlines():
        line = json.loads(text)
        total = totals.setdefault(line["task"], [0, 0, 0])
        if total[2] >= args.limit or (args.tasks and line["task"] not in args.tasks.split(",")):
            continue
        formed, right, reply = run(net, encoder, line)
        if not right and total[2] - total[1] < args.wrong:
            print(line["id"], repr(reply), "for", line["check"]["value"], flush=True)
        total[0], total[1], total[2] = total[0] + formed, total[1] + right, total[2] + 1
    for task, (formed, right, n) in totals.items():
        if n:
            low, high = interval(right, n)
            print(f"{task}: right {right}/{n} = {right / n:.1%} [{low:.1%}, {high:.1%}]"
                  f", well-formed {formed / n:.1%}", flush=True)


if __name__ == "__main__":
    main()
