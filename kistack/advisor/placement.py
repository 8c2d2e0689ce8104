"""Placement: which parts of the corpus are learnt and which looked up, by how fast they change and who may see them.

What hardly changes may go into weights while what moves goes into the index, because an index is made fresh in minutes
and weights stay as they were trained (Liska et al. 2022, StreamingQA, arXiv:2205.11388).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from kistack.advisor.privacy import private_parts
from kistack.composition.pipeline import Pipeline
from kistack.composition.selection import Parts, selected_parts
from kistack.domain.facts import Profile
from kistack.domain.plan import Step
from kistack.plugins.host import Host
from kistack.plugins.selecting import pairs_are_told_apart, part_names

#: Parts whose rates of change differ by less are not placed apart. A rate told from 10 changes is known to 0.48 to 1.84
#: times (exact Poisson interval, 95 %), so two such rates that differ fivefold do differ.
APART = 5.0
#: Slower rates count as this one: 0.4 % in a year.
_STILL = 1e-5
_TRAINERS = {"tune", "distill"}


@dataclass(frozen=True, slots=True)
class Placement:
    """Parts that are retrieved and parts that are trained on; ``index`` empty stands for all.

    ``unseen`` are parts whose passages no trainer may be shown. ``retrieves`` says that it is for plans with an index.
    """

    index: tuple[str, ...]
    weights: tuple[str, ...]
    unseen: frozenset[str] = frozenset()
    retrieves: bool = True

    def suits(self, steps: Sequence[Step]) -> bool:
        """Whether a plan of these steps can be placed this way: something is trained, and retrieved where need be."""
        kinds = {s.kind for s in steps}
        return bool(kinds & _TRAINERS) and ("retrieve" in kinds or not self.retrieves)


def moving_parts(profile: Profile) -> frozenset[str]:
    """The parts that change so much faster than the others that they belong elsewhere; empty where none do.

    They are those above the widest gap between two rates, where the fastest part changes at least ``APART`` times as
    fast as the slowest. A part whose rate nobody knows counts among them.
    """
    known = part_names(profile)
    rates = {n: _rate(profile, n) for n in known if f"part.{n}.changed_per_day" in profile}
    slow = sorted(rates, key=lambda n: (rates[n], n))
    if not rates or rates[slow[-1]] < APART * rates[slow[0]]:
        return frozenset()
    gaps = [rates[b] / rates[a] for a, b in pairwise(slow)]
    still = slow[: gaps.index(max(gaps)) + 1]
    return frozenset(known) - set(still)


def _rate(profile: Profile, part: str) -> float:
    return max(_STILL, profile.number(f"part.{part}.changed_per_day"))


def placements(profile: Profile) -> list[Placement]:
    """The ways of placing the parts of this corpus that are worth judging beside placing all of it alike.

    By volatility: weights learn the parts that hardly change while the index holds the others, or everything. By
    privacy: weights learn all but the parts that are marked erasable or per-user. None where the training pairs do not
    say which documents they are about, or are about other parts.
    """
    known, private = part_names(profile), private_parts(profile)
    if not pairs_are_told_apart(profile):
        return []
    moving = moving_parts(profile)
    public = tuple(n for n in known if n not in private)
    still = tuple(n for n in public if n not in moving)
    found = []
    if moving and _pairs(profile, still):
        rest = tuple(n for n in known if n not in still)
        found += [Placement(rest, still, private), Placement((), still, private)]
    if private and _pairs(profile, public):
        found = [f for f in found if f.index or f.weights != public]
        found.append(Placement((), public, private, retrieves=False))
    return found


def _pairs(profile: Profile, parts: Sequence[str]) -> float:
    return sum(profile.number(f"part.{n}.train_pairs") for n in parts)


def placed(steps: Sequence[Step], way: Placement, known: Sequence[str], host: Host) -> tuple[Step, ...]:
    """Arranged steps with their selections.

    Where the index holds parts that trainers must not see, trainers are shown passages of an index of the others, and
    the one that answers is made last; where there are no others, trainers see no passages.
    """
    first: list[Step] = []
    last: list[Step] = []
    shown = tuple(n for n in way.index or known if n not in way.unseen)
    for step in steps:
        if step.kind == "retrieve":
            serving = step.model_copy(update={"select": way.index})
            if not way.unseen & set(way.index or known):
                first.append(serving)
                continue
            first += [step.model_copy(update={"select": shown})] if shown else []
            last.append(serving)
        elif step.kind in _TRAINERS or _reads_data(step, host):
            first.append(step.model_copy(update={"select": way.weights}))
        else:
            first.append(step)
    return (*first, *last)


def _reads_data(step: Step, host: Host) -> bool:
    return any(port.kind in {"corpus", "pairs"} for port in host.traits(step.use).consumes.values())


def placement_text(profile: Profile, pipeline: Pipeline) -> str:
    """Where the parts of the corpus are, for a plan that selects any; empty for one that does not."""
    if not any(step.select for step in pipeline.plan.steps):
        return ""
    found = selected_parts(pipeline)
    told = [
        f"{verb} {_listed(profile, parts)}"
        for verb, parts in (("looked up:", found["index"]), ("learnt:", found["weights"]))
        if parts is None or parts
    ]
    return "; ".join(told)


def _listed(profile: Profile, parts: Parts) -> str:
    if parts is None:
        return "every part"
    names = []
    for name in sorted(parts):
        known = f"part.{name}.changed_per_day" in profile
        rate = f" ({profile.number(f'part.{name}.changed_per_day'):.2%} of it changes per day)" if known else ""
        names.append(name + rate)
    return ", ".join(names)
