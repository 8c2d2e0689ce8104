"""Expected quality of a candidate over the horizon: points 0 to 100 with an 80 % interval, every term explained.

A question about facts is answered where the passage is found and read, or where the weights know it; behaviour is
answered by skill. Techniques change one of these:

    facts     = form · (found + (1 - found) · misled · know · fresh_weights), found = recall · reading · fresh_index
    facts     = form · know · fresh_weights, where nothing is retrieved
    behaviour = skill
    both      = mean of the two

``fresh`` is the mean share of content still true at age 0 to T with hazard h per day: (1 - exp(-h T)) / (h T); T is
the horizon for weights, the time between refreshes for an index. All figures are rows of ``kistack/data/effects.yaml``.
The interval comes from moving each of them to the ends of its own interval, so that two candidates that share a
figure share its uncertainty, and the interval of their difference is narrower than either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from kistack.advisor.effects import Z80, EffectTable, effect_table
from kistack.advisor.features import Change, Features
from kistack.domain.records import Effect
from kistack.plugins.costs import interpolate

#: Metrics that ask for the answer's exact wording, where an untrained model loses form; others look for the answer in
#: what it says.
_EXACT_METRICS = ("exact", "f1", "rouge", "bleu", "em")
_BEST = 0.98
#: Figures that a probe measured stand beside the priors under this name.
_PROBE = "probe "


@dataclass(frozen=True, slots=True)
class Term:
    """One addend of a prediction, in points: what changed, why, and whose figures say so."""

    name: str
    points: float
    because: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """Expected points with their 80 % interval; ``terms`` add up to ``points``.

    ``shifts`` maps each uncertain figure to the points that one standard deviation of it moves.
    """

    points: float
    low: float
    high: float
    terms: tuple[Term, ...]
    shifts: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Answerer:
    """What a model can do while stages change it, all as shares."""

    know: float
    reading: float
    skill: float
    form: float
    params: float
    ceiling: float = _BEST
    recall: float = 0.0
    passages: float = 0.0
    taught: bool = False
    fresh_weights: float = 1.0
    fresh_index: float = 1.0

    def facts(self) -> float:
        if not self.passages:
            return self.form * self.know * self.fresh_weights
        found = self.recall * self.reading * self.fresh_index
        return self.form * (found + (1 - found) * self.know * self.fresh_weights)

    def score(self, task: str) -> float:
        if task == "behaviour":
            return self.skill
        return self.facts() if task == "facts" else (self.facts() + self.skill) / 2


def predict(features: Features, table: EffectTable | None = None) -> Prediction:
    """The expected quality of a candidate with these features."""
    table = effect_table() if table is None else table
    ends = {name: (p.low, p.high) for name, p in table.priors.items()}
    values = {name: p.value for name, p in table.priors.items()}
    for name, share, spread in features.measured:
        values[_PROBE + name] = share
        ends[_PROBE + name] = (max(0.0, share - Z80 * spread), min(1.0, share + Z80 * spread))
    read = _Recorder(values)
    terms = _walk(features, read, table)
    total = sum(t.points for t in terms)
    shifts: dict[str, float] = {}
    for name in sorted(read.names):
        low, high = (_total(features, {**values, name: end}, table) for end in ends[name])
        shifts[name] = (high - low) / (2 * Z80)
    for stage, declared in _declared(features):
        shifts[f"declared by {stage}"] = (declared.high - declared.low) / (2 * Z80)
    half = Z80 * math.sqrt(sum(s * s for s in shifts.values()))
    points = min(100.0, max(0.0, total))
    if points != total:
        terms = (*terms, Term("bounds", points - total, "a share of answers lies between 0 and 100 points"))
    return Prediction(points, max(0.0, points - half), min(100.0, points + half), terms, shifts)


def difference(one: Prediction, other: Prediction) -> tuple[float, float]:
    """Expected points by which ``one`` exceeds ``other``, and the standard deviation of that difference.

    Figures that both depend on move both, so only what they do not share counts.
    """
    names = one.shifts.keys() | other.shifts.keys()
    spread = math.sqrt(sum((one.shifts.get(n, 0.0) - other.shifts.get(n, 0.0)) ** 2 for n in names))
    return one.points - other.points, spread


def mean_freshness(hazard: float, days: float) -> float:
    """Mean share of content still true while its age grows from 0 to ``days``, at ``hazard`` changes per day."""
    x = hazard * days
    return 1.0 if x <= 0 else -math.expm1(-x) / x


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


def _total(features: Features, values: Mapping[str, float], table: EffectTable) -> float:
    """The sum of the terms."""
    return sum(step.points for step in _steps(features, values, table))


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
    task = features.task
    state = _base(features, v)
    before = state.score(task)
    yield _Step("base", 100 * before, lambda: _base_text(features, state), _base_figures(features))
    if features.passages:
        _retrieve(state, features, v)
        after, declared = state.score(task), features.retrieval_effect
        points = _points(before, after, declared)
        yield _Step("retrieve", points, lambda: _retrieve_text(features, state), ("reading", "missed"), declared)
        before = after
    for change in features.changes:
        because, figures = _apply(state, change, features, v, table)
        after = state.score(task)
        yield _Step(change.kind, _points(before, after, change.declared), because, figures, change.declared)
        before = after
    state.fresh_weights = mean_freshness(features.hazard, features.horizon_days)
    state.fresh_index = mean_freshness(features.hazard, features.refresh_days)
    yield _Step("staleness", 100 * (state.score(task) - before), lambda: _stale_text(features, state))


def _points(before: float, after: float, declared: Effect | None) -> float:
    return 100 * (after - before) if declared is None else declared.points


def _base_figures(features: Features) -> tuple[str, ...]:
    names = {"facts": ("closed_book",), "behaviour": ("skill",)}
    return names.get(features.task, ("closed_book", "skill"))


def _lesson_figures(features: Features, change: Change) -> tuple[str, ...]:
    """The rows that a lesson from pairs rests on."""
    facts = ("reading_gain" if change.with_passages else "reading_gain_bare") if features.passages else "facts_learnt"
    names = {"facts": (facts,), "behaviour": ("skill_gain",)}
    return names.get(features.task, (facts, "skill_gain"))


def _base(features: Features, v: Mapping[str, float]) -> _Answerer:
    decades = math.log10(features.params / 1e9)
    probed = _probed_of(features)
    know = (
        v[_PROBE + "closed_book"]
        if "closed_book" in probed
        else _share(v["closed_book"] + v["closed_book_per_decade"] * decades)
    )
    reading = v[_PROBE + "reading"] if "reading" in probed else _share(v["reading"] + v["reading_per_decade"] * decades)
    exact = any(m in features.metric.lower() for m in _EXACT_METRICS)
    return _Answerer(
        know=know,
        reading=reading,
        skill=_share(v["skill"] + v["skill_per_decade"] * decades),
        form=_share(v["form"]) if exact else 1.0,
        params=features.params,
    )


def _probed_of(features: Features) -> frozenset[str]:
    return frozenset(name for name, _, _ in features.measured)


def _share(value: float) -> float:
    return min(_BEST, max(0.01, value))


def _retrieve(state: _Answerer, features: Features, v: Mapping[str, float]) -> None:
    k = features.passages
    probed = _probed_of(features)
    if "recall" in probed:
        state.recall = v[_PROBE + "recall"]
    else:
        state.recall = 1 - _share(v["missed"] * k ** -v["missed_exponent"])
    state.passages = k
    if "reading" not in probed:
        state.reading *= max(0.0, 1 - v["distraction"] * (k - 1))
    state.know *= v["misled"]


def _apply(
    state: _Answerer, change: Change, features: Features, v: Mapping[str, float], table: EffectTable
) -> tuple[Callable[[], str], tuple[str, ...]]:
    """Change ``state`` as the stage does; returns the reason in words and the rows it rests on.

    A kind without a prior changes nothing.
    """
    if change.kind == "tune":
        _learn(state, change, features, v)
        return lambda: _tune_text(features, change), _lesson_figures(features, change)
    if change.kind == "distill":
        loss = _distill(state, change, features, v)
        figures: tuple[str, ...] = ("student_loss",) if loss else ()
        figures += ("transfer",) if _teaches(features, change) else ()
        return lambda: _distill_text(features, change, loss), (*figures, *_lesson_figures(features, change))
    if change.kind == "quantize":
        params = state.params
        kept = _kept(change.bits[1], params, v, table) / _kept(change.bits[0], params, v, table)
        _weaken(state, min(1.0, kept))
        return lambda: _quantize_text(change, params, kept), ("bits_loss",)
    return lambda: f"{change.stage} changes the model", ()


def _learn(state: _Answerer, change: Change, features: Features, v: Mapping[str, float]) -> None:
    """Training on pairs: closes part of the gaps in reading, form and skill, more with more pairs."""
    data = change.pairs / (change.pairs + max(1.0, v["pairs_half"])) * (v["taught_again"] if state.taught else 1.0)
    # Larger readers have learnt to read before: nothing is left to gain from about 10 B on.
    room = min(1.0, max(0.0, 1 - math.log10(state.params / 1e9)))
    lesson = v["reading_gain"] * room * (1.0 if change.with_passages else v["reading_gain_bare"])
    if features.passages:
        state.reading += max(0.0, state.ceiling - state.reading) * _gain(lesson * data)
    elif not change.with_passages:
        state.know += max(0.0, state.ceiling - state.know) * _gain(v["facts_learnt"] * data)
    state.form += max(0.0, _BEST - state.form) * _gain(data)
    state.skill += max(0.0, state.ceiling - state.skill) * _gain(v["skill_gain"] * data)
    state.taught = True


def _gain(value: float) -> float:
    return min(1.0, max(0.0, value))


def _distill(state: _Answerer, change: Change, features: Features, v: Mapping[str, float]) -> float:
    """A smaller student loses ability; one that a larger teacher teaches gains some of the teacher's.

    Returns the share of ability lost.
    """
    removed = 1 - change.ratio
    decades = max(0.0, 9 - math.log10(max(1.0, change.tokens)))
    loss = min(0.95, removed * (v["student_loss"] + v["student_loss_per_decade"] * decades)) if removed else 0.0
    _weaken(state, 1 - loss)
    state.params *= change.ratio
    if _teaches(features, change):
        scale = math.log10(change.teacher / features.params)
        for name in ("reading", "skill"):
            own = getattr(state, name)
            theirs = _share(own + v[f"{name}_per_decade"] * scale)
            setattr(state, name, own + v["transfer"] * max(0.0, theirs - own))
    _learn(state, change, features, v)
    return loss


def _teaches(features: Features, change: Change) -> bool:
    """Whether the teacher is large enough to know better."""
    return change.teacher > 1.2 * features.params


def _kept(stored: float, params: float, v: Mapping[str, float], table: EffectTable) -> float:
    """Share of ability kept at ``stored`` bits per weight: relative loss grows as the model shrinks."""
    relative = interpolate(table.loss_by_bits, stored)
    loss = v["bits_loss"] * relative * (params / 7e9) ** -v["bits_loss_exponent"]
    return 1.0 - float(min(0.95, loss))


def _weaken(state: _Answerer, kept: float) -> None:
    """What a model can do, and what training can still make of it, shrink by the same share."""
    state.know *= kept
    state.reading *= kept
    state.skill *= kept
    state.ceiling *= kept


# --- words


def _sources(table: EffectTable, figures: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(s for name in figures for s in table.priors[name].sources))


def _base_text(features: Features, state: _Answerer) -> str:
    size = features.params / 1e9
    probed = " (probed)" if "closed_book" in _probed_of(features) else ""
    if features.task == "behaviour":
        return f"a prompted model of {size:.2g} B shows {100 * state.skill:.0f} % of the wanted behaviour"
    known = f"a model of {size:.2g} B answers {100 * state.know:.0f} % of such facts from its weights{probed}"
    return known if features.task == "facts" else f"{known} and shows {100 * state.skill:.0f} % of the behaviour"


def _retrieve_text(features: Features, state: _Answerer) -> str:
    return (
        f"{features.passages:.0f} passages hold the answer for {100 * state.recall:.0f} % of the questions, "
        f"and this model reads it off {100 * state.reading:.0f} % of those"
    )


def _tune_text(features: Features, change: Change) -> str:
    shown = "with" if change.with_passages else "without"
    reading = " and reading" if features.passages else ""
    return f"training on {change.pairs:.0f} pairs {shown} passages teaches form{reading}, not new facts"


def _distill_text(features: Features, change: Change, loss: float) -> str:
    text = [f"the student learns from {change.pairs:.0f} pairs"]
    if change.ratio < 0.98:  # noqa: PLR2004 - rounding of parameter counts
        text.append(
            f"with {100 * change.ratio:.0f} % of the parameters, taught on {change.tokens:.2g} tokens, it keeps "
            f"{100 * (1 - loss):.0f} % of the ability"
        )
    if _teaches(features, change):
        text.append(f"a teacher {change.teacher / features.params:.1f} times as large passes on part of what it can do")
    return "; ".join(text)


def _quantize_text(change: Change, params: float, kept: float) -> str:
    able = f"what a model of {params / 1e9:.2g} B can do"
    return f"{change.bits[1]:.1f} bits per weight keep {100 * kept:.1f} % of {able}"


def _stale_text(features: Features, state: _Answerer) -> str:
    text = (
        f"at {100 * features.hazard:.2g} % changed per day, what weights hold is right for about "
        f"{100 * state.fresh_weights:.0f} % of facts over {features.horizon_days:.0f} days"
    )
    if not features.passages:
        return text
    every = "day" if features.refresh_days == 1 else f"{features.refresh_days:.0f} days"
    return f"{text}, an index made again every {every} for {100 * state.fresh_index:.1f} %"
