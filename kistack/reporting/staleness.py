"""The page of a staleness test: quality as built, re-indexed, retrained; what each costs; whether the advice holds."""

from __future__ import annotations

from kistack.domain.records import Measurement
from kistack.reporting.blocks import Block, Bullets, Heading, Page, Paragraph, Table
from kistack.reporting.numbers import DASH, metric_text, shown
from kistack.reporting.runs import difference_text
from kistack.sweeping.drift import GROUPS
from kistack.sweeping.staleness import Staleness, State

_WORDS = {"built": "as built then", "reindexed": "after re-indexing", "retrained": "after building anew"}
_ASKED = {"changed": "changed answers", "new": "new facts", "stood": "answers that stood"}


def staleness_page(found: Staleness) -> Page:
    """What the test found."""
    groups = [g for g in GROUPS if found.groups.get(g)]
    counts = ", ".join(f"{found.groups[g]} with {_ASKED[g]}" for g in groups)
    learnt, pairs = found.learnt
    page: list[Block] = [
        Heading(f"Staleness of {found.techniques} since {found.as_of}", 1),
        Paragraph(
            f"Built on the documents of {found.as_of} and the {learnt} of {pairs} training pairs that held then; asked "
            f"today's held-out questions: {counts}."
        ),
        Table(
            ("state", *(_ASKED[g] for g in groups), "work"),
            tuple(
                (_WORDS[s.name], *(_score(found.metric, s, g) for g in groups), shown(s.seconds, "s"))
                for s in found.states
            ),
            frozenset(range(1, len(groups) + 2)),
            f"{found.metric} with 95 % intervals; work: of the steps that are not those of the older build",
        ),
        Heading("Differences on the same questions"),
        Bullets(
            tuple(
                f"{_WORDS[state]}, {_ASKED[group]}: {difference_text(found.metric, result)}"
                for state, results in found.differences.items()
                for group, result in results.items()
            )
        ),
        Heading("Does the advice hold?"),
        Paragraph(_verdict(found)),
    ]
    if found.advice.moved:
        page.append(Bullets(tuple(f"{n}: {then} then, {now} now" for n, (then, now) in found.advice.moved.items())))
    return page


def _score(metric: str, state: State, group: str) -> str:
    score: Measurement | None = state.scores.get(group)
    return DASH if score is None else metric_text(metric, score)


def _verdict(found: Staleness) -> str:
    advice = found.advice
    if advice.same_plan:
        return f"Yes: {advice.now} with the same settings is advised on both states of the documents."
    if advice.holds:
        return f"Yes: {advice.now} is advised on both states of the documents, with other settings now."
    lost = "" if advice.gives_up is None else f"; {advice.then} is expected {advice.gives_up:+.1f} points behind it now"
    return f"No: {advice.then} was advised then, {advice.now} is advised now{lost}."
