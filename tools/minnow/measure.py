"""Accuracy on held-out dialogues by one pass over prompt and right reply: greedy decoding gives the
right reply exactly when every one of its tokens is the most likely one."""

import torch

import chat
import model as models
from world import World


def held_out(task, index, seed="held-out"):
    """One held-out dialogue that ends in the reply under test."""
    w = World(seed, task, index, held_out=True)
    if task == "lookup":  # every fourth in a context of about 200 to 500 tokens
        wide = index % 4 == 3
        return w.lookup(w.rng.randint(10, 26), w.rng.randint(0, 14), 1) if wide else w.lookup(asked=1)
    if task == "think_lookup":
        return w.lookup(asked=1, thinking=True)
    if task == "think_sum":
        return w.sum(1, thinking=True)
    if task in ("tool", "tool_result"):
        d = w.tool(1, thinking=False)
        if task == "tool":
            d.messages = d.messages[:2] if d.messages[0]["role"] != "system" else d.messages[:3]
            d.checks = d.checks[:1]
        return d
    return getattr(w, task)(1)


TASKS = ["lookup", "think_lookup", "story", "sum", "think_sum", "sort", "copy", "json", "tool",
         "tool_result", "talk"]


def last_reply(encoder, d):
    """-> ids and the index at which the last reply begins."""
    parts = chat.render(d.messages, d.tools, d.thinking)
    while not parts[-1][1]:
        parts.pop()
    prompt = [i for text, _ in parts[:-1] for i in encoder.ids(text)]
    return prompt + encoder.ids(parts[-1][0]), len(prompt)


def quick(net, encoder, lengths, tokens, count, seed="held-out"):
    """(right, asked) per task, and (hits, drafts) of the draft head on all replies."""
    right = {task: [0, 0] for task in TASKS}
    hits, drafts = 0, 0
    rows = {t: [] for t in lengths}
    for task in TASKS:
        for i in range(count):
            ids, start = last_reply(encoder, held_out(task, i, seed))
            room = next((t for t in lengths if t >= len(ids)), None)
            if room:
                rows[room].append((task, ids, start))
    for length, items in rows.items():
        size = tokens // length
        for at in range(0, len(items), size):
            part = items[at : at + size]
            ids = torch.full((size, length), 2)
            for i, (_, row, _) in enumerate(part):
                ids[i, : len(row)] = torch.tensor(row)
            view = models.View(net.config, length, topk=length)
            x, _, _ = net.trunk(ids, view)
            best = net.logits(x).argmax(-1)
            guess = net.draft(x, ids.roll(-1, 1), view)[0].argmax(-1)
            del x
            for i, (task, row, start) in enumerate(part):
                truth = ids[i, start : len(row)]
                right[task][0] += bool((best[i, start - 1 : len(row) - 1] == truth).all())
                right[task][1] += 1
                hits += int((guess[i, start - 1 : len(row) - 2] == truth[1:]).sum())
                drafts += len(truth) - 1
    counts = [right[task] for task in TASKS] + [[hits, drafts]]
    return torch.tensor(counts, dtype=torch.float32)


def named(counts):
    """Rows of (right, asked) -> share by task; the last row is the draft head's hit rate."""
    return {t: round(float(n / max(of, 1)), 4) for t, (n, of) in zip(TASKS + ["draft_hits"], counts)}
