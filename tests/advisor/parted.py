"""Profiles whose corpus has parts: what changes slowly, what changes fast, what is private."""

from advisor.onpaper import profile_of

NAMES = ("manual", "law", "log")
RATES = {"manual": 0.0001, "law": 0.0002, "log": 0.02}
PAIRS = {"manual": 200, "law": 60, "log": 70}


def parted_facts(rates=RATES, pairs=PAIRS, names=NAMES, **marks):
    """Facts of the parts; ``marks`` names a mark and the parts that bear it (``erasable=["log"]``)."""
    facts = {"corpus.parts": ", ".join(names), "pairs.gold": 490}
    for n, name in enumerate(names):
        facts |= {
            f"part.{name}.documents": 300 + n,
            f"part.{name}.tokens": 11e3 + n,
            f"part.{name}.bytes": 40e3 + n,
            f"part.{name}.train_pairs": pairs[name],
            f"part.{name}.changed_per_day": rates[name],
        }
        facts |= {f"part.{name}.{mark}": True for mark, whose in marks.items() if name in whose}
    facts |= {f"scenario.{mark}": bool(whose) for mark, whose in marks.items()}
    return facts


def parted(rates=RATES, pairs=PAIRS, names=NAMES, marks=None, **changes):
    return profile_of(**{**parted_facts(rates, pairs, names, **(marks or {})), **changes})
