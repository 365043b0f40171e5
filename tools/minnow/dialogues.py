"""The training mix: which dialogue comes at which index of a seed."""

import random

from world import World

# First steps: short dialogues only, most of them lookups.
EARLY = {"lookup": 44, "lookup_system": 8, "story": 8, "sum": 10, "copy": 12, "json": 8, "talk": 6,
         "mixed": 4}

# (what, weight). Lookups are the foundation of everything else, so they are the most common.
MIX = {
    "lookup": 28, "lookup_system": 5, "lookup_wide": 5, "lookup_far": 0.25, "think_lookup": 12,
    "story": 10, "sum": 9, "think_sum": 5, "sort": 5, "copy": 4, "json": 8, "tool": 4, "talk": 2,
    "think_talk": 1, "mixed": 3, "unknown": 2,
}

# (facts, filler sentences) of the lookups in longer contexts.
SPREAD = {"lookup_wide": ((10, 26), (0, 14)), "lookup_far": ((10, 40), (30, 90))}


def dialogue(seed, index, mix=None, lines=()):
    """Deterministic dialogue `index` of `seed`. `lines`: plain English for the unknown."""
    mix = mix or MIX
    rng = random.Random(f"mix/{seed}/{index}")
    what = rng.choices(list(mix), list(mix.values()))[0]
    if what == "unknown" and not lines:
        what = "talk"
    w = World(seed, what, index)
    if what in SPREAD:
        facts, filler = SPREAD[what]
        return w.lookup(rng.randint(*facts), rng.randint(*filler))
    if what in ("lookup", "lookup_system"):
        return w.lookup()
    if what == "think_lookup":
        return w.lookup(thinking=True)
    if what == "think_sum":
        return w.sum(thinking=True)
    if what == "think_talk":
        return w.talk(thinking=True)
    if what == "unknown":
        return w.unknown(lines)
    return getattr(w, what)()
