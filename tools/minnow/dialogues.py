"""The training mix: which dialogue comes at which index of a seed."""

import random

from world import World

# (what, weight). Lookups are the foundation of everything else, so they are the most common.
MIX = {
    "lookup": 26, "lookup_system": 6, "think_lookup": 7, "story": 10, "sum": 10, "think_sum": 4,
    "sort": 7, "copy": 6, "json": 11, "tool": 9, "talk": 6, "think_talk": 1, "mixed": 5, "unknown": 4,
}


def dialogue(seed, index, mix=None, lines=(), scale=None):
    """Deterministic dialogue `index` of `seed`. `lines`: plain English for the unknown."""
    mix = mix or MIX
    rng = random.Random(f"mix/{seed}/{index}")
    what = rng.choices(list(mix), list(mix.values()))[0]
    if what == "unknown" and not lines:
        what = "talk"
    w = World(seed, what, index)
    if what in ("lookup", "lookup_system"):
        if scale:
            return w.lookup(rng.randint(*scale[0]), rng.randint(*scale[1]), asked=rng.randint(4, 8))
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
