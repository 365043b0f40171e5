"""Batches of dialogues: token ids, what is trained, and a fixed number of tokens per batch."""

import random

import torch
from tokenizers import Tokenizer

import chat
from dialogues import EARLY, MIX, dialogue
from world import World

PROMPT_WEIGHT = 0.05  # the assistant's own tokens weigh 1


class Encoder:
    def __init__(self, path):
        self.tokenizer = Tokenizer.from_file(str(path))

    def ids(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def dialogue(self, d):
        """-> ids, weights. The joined text is encoded at once: control tokens part the pieces."""
        ids, weights = [], []
        for text, trained in chat.render(d.messages, d.tools, d.thinking):
            piece = self.ids(text)
            ids += piece
            weights += [1.0 if trained else PROMPT_WEIGHT] * len(piece)
        return ids, weights


def filled(encoder, d, ids, weights, room, seed, index):
    """Appends short unrelated exchanges to a plain chat, so that rows are well used."""
    system = d.messages[0]
    if d.thinking or d.tools or system.get("response_format"):
        return ids, weights
    rng = random.Random(f"fill/{seed}/{index}")
    for turn in range(12):
        if room - len(ids) < 24:
            break
        task = rng.choice(["sum", "sum", "sort", "copy", "talk", "json", "lookup"])
        world = World(seed, task, f"fill{index}.{turn}")
        part = world.lookup(rng.randint(1, 3), 0, 3) if task == "lookup" else getattr(world, task)(1)
        if part.messages[0]["role"] == "system":
            continue
        more = encoder.dialogue(part)
        if len(ids) + len(more[0]) - 1 > room:
            continue
        ids, weights = ids + more[0][1:], weights + more[1][1:]  # without a second BOS
    return ids, weights


class Stream:
    """Endless deterministic batches (B, T) with B * T constant; rows are sorted into lengths."""

    def __init__(self, encoder, seed, tokens, lengths, lines=(), early=0, start=0):
        self.encoder, self.seed, self.tokens, self.lengths = encoder, seed, tokens, lengths
        self.lines, self.index, self.early = lines, start, early
        self.rows = {t: [] for t in lengths}

    def next(self):
        while True:
            for t, rows in self.rows.items():
                if len(rows) >= self.tokens // t:
                    self.rows[t] = rows[self.tokens // t :]
                    return self.batch(rows[: self.tokens // t], t)
            self.add()

    def add(self):
        early = self.index < self.early
        d = dialogue(self.seed, self.index, EARLY if early else MIX, self.lines)
        self.index += 1
        ids, weights = self.encoder.dialogue(d)
        room = next((t for t in self.lengths if t >= len(ids)), None)
        if room is None or (early and room > self.lengths[0]):
            return
        row = filled(self.encoder, d, ids, weights, room, self.seed, self.index)
        self.rows[room].append(row)

    def batch(self, rows, length):
        ids = torch.full((len(rows), length), 2)
        weights = torch.zeros(len(rows), length)
        for i, (row, weight) in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            weights[i, : len(row)] = torch.tensor(weight)
        return ids, weights
