"""Expected quality of a candidate over the horizon: points 0 to 100 with an 80 % interval, every term explained.

A question about facts is answered where the passage is found and read, or where the weights know it; behaviour is
answered by skill. Techniques change one of these (see ``answerer``):

    found     = recall · reading · fresh_index
    facts     = healed · form · (sure + (1 - sure) · (found + (1 - found) · misled · rest))
    facts     = healed · form · know · fresh_weights, where nothing is retrieved
    behaviour = skill
    both      = mean of the two

``healed`` is what a student from which layers were taken finds again (1 otherwise), ``sure`` what a gate leaves to
the weights (0 without one), ``rest`` what they know beside it. ``fresh`` is the mean share of content still true at
age 0 to T with hazard h per day: (1 - exp(-h T)) / (h T); T is the time between retrainings for weights, between
refreshes for an index. Where knowledge is placed by parts of the corpus, each part has its own hazard and place. All
figures are rows of ``kistack/data/effects.yaml``. The interval comes from moving each of them to the ends of its own
interval, so that two candidates that share a figure share its uncertainty, and the interval of their difference is
narrower than either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial

from kistack.advisor import answerer, wording
from kistack.advisor.answerer import PROBE, mean_freshness
from kistack.advisor.effects import Z80, EffectTable, effect_table
from kistack.advisor.features import Change, Features
from kistack.domain.records import Effect

#: Points by which sums of the same numbers in another order may differ.
_ROUNDING = 1e-9

__all__ = ["Prediction", "Term", "difference", "mean_freshness", "predict"]


@dataclass(frozen=True, slots=True)
class Term:
    """One addend of a prediction, in points: what changed, why, and whose figures say so."""

    name: str
    points: float
    because: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """Expected points, and on demand what they are made of: many candidates are ranked, few are looked at.

    ``figures`` are the figures that decide, with the ends of their intervals.
    """

    points: float
    features: Features
    table: EffectTable = field(repr=False)
    values: Mapping[str, float] = field(repr=False)
    ends: Mapping[str, tuple[float, float]] = field(repr=False)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The addends in words; they add up to ``points``."""
        terms = _walk(self.features, self.values, self.table)
        total = sum(t.points for t in terms)
        if abs(rest := self.points - total) > _ROUNDING:
            terms = (*terms, Term("bounds", rest, "a share of answers lies between 0 and 100 points"))
        return terms

    @cached_property
    def shifts(self) -> Mapping[str, float]:
        """The points that one standard deviation of each uncertain figure moves."""
        recorder = _Recorder(self.values)
        _total(self.features, recorder, self.table)
        found: dict[str, float] = {}
        moved = dict(self.values)
        for name in sorted(recorder.names):
            low, high = self.ends[name]
            moved[name] = low
            lower = _total(self.features, moved, self.table)
            moved[name] = high
            found[name] = (_total(self.features, moved, self.table) - lower) / (2 * Z80)
            moved[name] = self.values[name]
        for stage, declared in _declared(self.features):
            found[f"declared by {stage}"] = (declared.high - declared.low) / (2 * Z80)
        return found

    @cached_property
    def half(self) -> float:
        """Half the width of the 80 % interval, in points."""
        return Z80 * math.sqrt(sum(s * s for s in self.shifts.values()))

    @property
    def low(self) -> float:
        """The lower end of the 80 % interval."""
        return max(0.0, self.points - self.half)

    @property
    def high(self) -> float:
        """The upper end of the 80 % interval."""
        return min(100.0, self.points + self.half)


def predict(features: Features, table: EffectTable | None = None) -> Prediction:
    """The expected quality of a candidate with these features."""
    table = effect_table() if table is None else table
    values, ends = table.values, table.ends
    if features.measured:
        own = {PROBE + name: share for name, share, _ in features.measured}
        values = {**values, **own}
        ends = dict(ends)
        for name, share, spread in features.measured:
            ends[PROBE + name] = (max(0.0, share - Z80 * spread), min(1.0, share + Z80 * spread))
    return Prediction(min(100.0, max(0.0, _total(features, values, table))), features, table, values, ends)


def difference(one: Prediction, other: Prediction) -> tuple[float, float]:
    """Expected points by which ``one`` exceeds ``other``, and the standard deviation of that difference.

    Figures that both depend on move both, so only what they do not share counts.
    """
    names = one.shifts.keys() | other.shifts.keys()
    spread = math.sqrt(sum((one.shifts.get(n, 0.0) - other.shifts.get(n, 0.0)) ** 2 for n in names))
    return one.points - other.points, spread


def _declared(features: Features) -> list[tuple[str, Effect]]:
    found = [(c.stage, c.declared) for c in features.changes if c.declared is not None]
    if features.retrieval_effect is not None:
        found.append(("retrieve", features.retrieval_effect))
    return found


class _Recorder(dict[str, float]):
    """Figures by name that remembers which of them were looked at."""

    def __init__(self, values: Mapping[str, float]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> float:
        self.names.add(name)
        return super().__getitem__(name)


@dataclass(frozen=True, slots=True)
class _Step:
    """One addend before it is put into words; ``figures`` are the rows of the table it rests on."""

    kind: str
    points: float
    because: Callable[[], str]
    figures: tuple[str, ...] = ()
    declared: Effect | None = None


def _total(features: Features, v: Mapping[str, float], table: EffectTable) -> float:
    """The sum of the terms, without telling them apart: what each adds cancels but for the last score.

    Only where a stage states its own effect does it matter what the step itself would have added.
    """
    state = answerer.untouched(features, v)
    stated = 0.0

    def replaced(declared: Effect, change: Callable[[], object]) -> float:
        before = state.score(features)
        change()
        return declared.points - 100 * (state.score(features) - before)

    def look_up() -> None:
        answerer.look_up(state, features, v)

    if features.passages:
        if features.retrieval_effect is None:
            look_up()
        else:
            stated += replaced(features.retrieval_effect, look_up)
    for change in features.changes:
        apply = partial(_apply, state, change, features, v, table)
        if change.declared is None:
            apply()
        else:
            stated += replaced(change.declared, apply)
    _age(state, features)
    return 100 * state.score(features) + stated


def _age(state: answerer.Answerer, features: Features) -> None:
    """Content changes while weights and index stay as they are."""
    state.fresh_weights = mean_freshness(features.hazard, features.retrain_days or features.horizon_days)
    state.fresh_index = mean_freshness(features.hazard, features.refresh_days)
    if features.parts:
        # Whether anything is stale at all is told by the parts themselves.
        state.fresh_weights = min(state.fresh_weights, 1 - 1e-12)


def _walk(features: Features, values: Mapping[str, float], table: EffectTable) -> tuple[Term, ...]:
    """The terms in words."""
    terms = []
    for step in _steps(features, values, table):
        text, sources = step.because(), _sources(table, step.figures)
        if (own := step.declared) is not None:
            text = f"{step.kind}: the stage itself expects {own.points:+.1f} points"
            text += f" ({own.conditions})" if own.conditions else ""
            sources = (own.source,) if own.source else ()
        if step.points or own is not None or step.kind == "base":
            terms.append(Term(step.kind, step.points, text, sources))
    return tuple(terms)


def _steps(features: Features, v: Mapping[str, float], table: EffectTable) -> Iterator[_Step]:
    """The addends in the order in which a question meets them: base, retrieval, each stage, staleness.

    The words of a step must be asked for before the next one.
    """
    state = answerer.untouched(features, v)
    before = state.score(features)
    yield _Step("base", 100 * before, lambda: wording.base(features, state), _base_figures(features))
    if features.passages:
        answerer.look_up(state, features, v)
        after, declared = state.score(features), features.retrieval_effect
        points = _points(before, after, declared)
        figures = _retrieve_figures(features)
        yield _Step("retrieve", points, lambda: wording.retrieve(features, state), figures, declared)
        before = after
    for change in features.changes:
        because, figures = _apply(state, change, features, v, table)
        after = state.score(features)
        yield _Step(change.kind, _points(before, after, change.declared), because, figures, change.declared)
        before = after
    _age(state, features)
    yield _Step("staleness", 100 * (state.score(features) - before), lambda: wording.stale(features, state))


def _apply(
    state: answerer.Answerer, change: Change, features: Features, v: Mapping[str, float], table: EffectTable
) -> tuple[Callable[[], str], tuple[str, ...]]:
    """Change ``state`` as the stage does; returns the reason in words and the rows it rests on.

    A kind without a prior changes nothing.
    """
    if change.kind == "tune":
        answerer.learn(state, change, features, v)
        return lambda: wording.tune(features, change), _lesson_figures(features, change)
    if change.kind == "distill":
        loss = answerer.distill(state, change, features, v)
        figures: tuple[str, ...] = ("student_loss", "student_loss_per_decade") if loss else ()
        figures += ("student_heals",) if wording.forgets(features, state.healed) else ()
        figures += (answerer.transfer_figure(change),) if answerer.teaches(features, change) else ()
        figures += _lesson_figures(features, change)
        return lambda: wording.distill(features, change, loss, state.healed), figures
    if change.kind == "quantize":
        params = state.params
        kept = answerer.quantize(state, change, features, v, table)
        return lambda: wording.quantize(change, params, kept), _quantize_figures(change)
    return lambda: f"{change.stage} changes the model", ()


def _points(before: float, after: float, declared: Effect | None) -> float:
    return 100 * (after - before) if declared is None else declared.points


# --- the rows that a term rests on


def _base_figures(features: Features) -> tuple[str, ...]:
    names = {"facts": ("closed_book",), "behaviour": ("skill",)}
    return names.get(features.task, ("closed_book", "skill"))


def _retrieve_figures(features: Features) -> tuple[str, ...]:
    if features.task == "behaviour":
        return ("disturbed",)
    more = {"gated": ("gate",), "everything": ("long_prompt",)}
    return ("reading", *more.get(features.lookup, ("missed",)))


def _lesson_figures(features: Features, change: Change) -> tuple[str, ...]:
    """The rows that a lesson rests on."""
    if change.data in {"raw_text", "paraphrases"}:
        facts: tuple[str, ...] = ("raw_text_facts", "raw_text_reading")
    elif change.method == "rl":
        facts = ("reward_gain",)
    elif features.passages:
        facts = ("reading_gain" if change.with_passages else "reading_gain_bare",)
    else:
        facts = ("facts_learnt",)
    names = {"facts": facts, "behaviour": ("skill_gain",)}
    return names.get(features.task, (*facts, "skill_gain"))


def _quantize_figures(change: Change) -> tuple[str, ...]:
    more = {
        "qat": ("activations_loss", "recovered"),
        "activations": ("activations_loss",),
        "dynamic": ("dynamic_loss",),
        "int8": ("ungrouped_int8",),
    }
    return ("bits_loss", *more.get(change.method, ()))


def _sources(table: EffectTable, figures: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(s for name in figures for s in table.priors[name].sources))
