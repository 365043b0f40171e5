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
        """-> ids, weights, links. Control tokens part the pieces, so each is encoded alone.

        A link is (token, first, last): what is predicted at `token` was said in tokens first..last."""
        ids, weights, links, spans, replies = [], [], [], [], 0
        for text, trained in chat.render(d.messages, d.tools, d.thinking):
            piece = self.tokenizer.encode(text, add_special_tokens=False)
            if trained:
                for order, part, sentence, where in d.links:
                    if order == replies:
                        links += link(spans, (text, piece.offsets, len(ids)), part, sentence, where)
                replies += 1
            else:
                spans.append((text, piece.offsets, len(ids)))
            ids += piece.ids
            weights += [1.0 if trained else PROMPT_WEIGHT] * len(piece.ids)
        return ids, weights, links


def tokens_of(span, part, after=0):
    """First and last token of `part` in a piece (text, offsets, first token), or None."""
    text, offsets, first = span
    begin = text.find(part, after)
    if begin < 0:
        return None
    inside = [i for i, (a, b) in enumerate(offsets) if a < begin + len(part) and b > begin]
    return (first + inside[0], first + inside[-1]) if inside else None


def link(spans, reply, part, sentence, where):
    """Every token of `part` in the reply, with its own place in `where` in the sentence; with the last
    one there if `where` is something else, which is where all is known."""
    said = tokens_of(reply, part)
    for span in spans if said else []:
        at = span[0].find(sentence)
        if at >= 0:
            first, last = tokens_of(span, where, at)
            count = said[1] - said[0] + 1
            told = range(first, last + 1) if count == last - first + 1 else [last] * count
            return [(said[0] + i - 1, told[i], told[i]) for i in range(count)]
    return []


def filled(encoder, d, ids, weights, links, room, seed, index):
    """Appends short unrelated exchanges to a plain chat, so that rows are well used."""
    system = d.messages[0]
    if d.thinking or d.tools or system.get("response_format"):
        return ids, weights, links
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
        moved = len(ids) - 1  # without a second BOS
        links = links + [tuple(moved + t for t in at) for at in more[2]]
        ids, weights = ids + more[0][1:], weights + more[1][1:]
    return ids, weights, links


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
        ids, weights, links = self.encoder.dialogue(d)
        room = next((t for t in self.lengths if t >= len(ids)), None)
        if room is None or (early and room > self.lengths[0]):
            return
        row = filled(self.encoder, d, ids, weights, links, room, self.seed, self.index)
        self.rows[room].append(row)

    def batch(self, rows, length):
        ids = torch.full((len(rows), length), 2)
        weights = torch.zeros(len(rows), length)
        links = [torch.zeros(0, 4, dtype=torch.long)]
        for i, (row, weight, at) in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            weights[i, : len(row)] = torch.tensor(weight)
            if at:
                links.append(torch.tensor([(i, *one) for one in at]))
        return ids, weights, torch.cat(links)
