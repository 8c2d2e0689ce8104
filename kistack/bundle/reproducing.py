"""Running a run again from its manifest or record, and saying what came out differently."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from kistack.bundle.archive import KeptRun, Row, find_run, kept_run
from kistack.bundle.differences import Change, changes, item_key, matched_steps
from kistack.bundle.manifest import MANIFEST_FILE, Manifest, read_manifest
from kistack.domain.plan import Plan
from kistack.domain.records import RunRecord, StepRecord
from kistack.errors import InputError

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace
    from kistack.execution.events import Event

REPRODUCTION_SCHEMA = 1
#: Where machine or versions differ, scores within 2 points (of 100) and answers but for 2 % count as the same:
#: another order of summation moves a few near ties.
LOOSE = 0.02
#: Units and names of numbers that the moment decides; they are told and never held against a run.
_TIMED_UNITS = frozenset({"s", "1/s", "J", "Wh", "W"})
_TIMED = frozenset({"peak_bytes"})
#: Kinds of steps whose bytes hold timings.
_TIMED_STEPS = frozenset({"answer", "evaluate"})


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison of kind ``answers``, ``score``, ``size`` or ``digest``; ``within`` the tolerance or not."""

    kind: str
    name: str
    before: str
    after: str
    equal: bool
    within: bool


@dataclass(frozen=True, slots=True)
class Origin:
    """What is to be reproduced: a plan, the scores it had, and, where they are kept, its record and manifest."""

    run: str
    plan: Plan
    scores: Mapping[str, Mapping[str, float]]
    environment: Mapping[str, str]
    kept: KeptRun | None
    manifest: Manifest | None


@dataclass(frozen=True)
class Reproduction:
    """A run and the run that repeated it. ``notes`` say what was not the same to begin with, or cannot be compared."""

    origin: str
    run: str
    tolerance: float
    checks: tuple[Check, ...]
    timings: tuple[Change, ...]
    versions: tuple[Change, ...]
    notes: tuple[str, ...] = ()

    @property
    def reproduced(self) -> bool:
        """Whether nothing differs beyond the tolerance."""
        return all(check.within for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """A JSON document with stable names."""
        return {"schema": REPRODUCTION_SCHEMA, "reproduced": self.reproduced, **asdict(self)}


def origin_of(place: Workspace, name: str) -> Origin:
    """What to reproduce, by a manifest, a bundle's folder, a run's id, the beginning of one, or ``last``.

    Raises:
        InputError: there is no such thing, or the run did not end well.
    """
    path = Path(name).expanduser()
    if path.is_file() and path.name != MANIFEST_FILE:
        raise InputError(f"{path} is no {MANIFEST_FILE}", "name a manifest, a bundle's folder or a run's id")
    if path.exists():
        manifest = read_manifest(path if path.is_dir() else path.parent)
        scores = {s: {m: v["value"] for m, v in found.items()} for s, found in manifest.scores.items()}
        folder = place.project.runs / manifest.run
        kept = kept_run(folder) if folder.is_dir() else None
        return Origin(manifest.run, _plan(manifest.plan, name), scores, manifest.environment, kept, manifest)
    kept = find_run(place.project, name)
    record = kept.record
    if record.status != "done":
        raise InputError(f"run {record.run} {record.status}: there is nothing to reproduce", "name a run that is done")
    scores = {s: {m: v.value for m, v in found.metrics.items()} for s, found in record.systems.items()}
    return Origin(record.run, _plan(record.plan, name), scores, record.environment, kept, kept.manifest)


def _plan(document: Mapping[str, Any], name: str) -> Plan:
    try:
        return Plan.model_validate(dict(document))
    except ValidationError as error:
        raise InputError(
            f"the plan of {name} cannot be read: {error.errors()[0]['msg']}", "run the plan anew"
        ) from error


def reproduce(
    place: Workspace,
    name: str = "last",
    *,
    tolerance: float | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Reproduction:
    """Run a plan again, every step of it, and compare what came out.

    Answers, scores, sizes, and digests of what was built are compared; times and memory are told, never held against
    the run.

    Args:
        place: the project whose documents, pairs and models it was run on.
        name: see ``origin_of``.
        tolerance: the share of answers that may differ, how far scores may (as a share: 0.02 is 2 points of 100, or
            2 % of a number above 1), and sizes (as a share). Default: 0 on the same machine with the same versions,
            else ``LOOSE``. Above 0 other digests are told and do not count.
        on_event: called with every event of the run.

    Raises:
        InputError: there is no such run or manifest, or a tolerance that is no share.
        PlanError: the plan does not compose here.
        KistackError: the run failed.
    """
    if tolerance is not None and not 0 <= tolerance <= 1:
        raise InputError(f"tolerance {tolerance} is not between 0 and 1", "give a share, for instance 0.02")
    origin = origin_of(place, name)
    # Read before the run, which may take the place of what is compared.
    answers = {s: rows for s in origin.scores if (rows := _answers(origin.kept, s)) is not None}
    pipeline = place.compose(origin.plan, where=f"the plan of {origin.run}")
    record = place.run(pipeline, on_event=on_event, fresh=True, over_limits=True)
    again = kept_run(place.project.runs / record.run)
    versions = tuple(changes(origin.environment, record.environment))
    allowed = tolerance if tolerance is not None else LOOSE if versions else 0.0
    checks = [
        *_answer_checks(answers, again, allowed),
        *_score_checks(origin, record, allowed),
        *(_step_checks(origin.kept, again, allowed) if origin.kept is not None else ()),
        *(_part_checks(origin.manifest, again.manifest, allowed) if origin.manifest is not None else ()),
    ]
    return Reproduction(
        origin.run, record.run, allowed, tuple(checks), tuple(_timings(origin, record)), versions,
        tuple(_notes(origin, answers, again)),
    )  # fmt: skip


def _answers(kept: KeptRun | None, system: str) -> Sequence[Row] | None:
    return None if kept is None else kept.answers(system)


def _notes(origin: Origin, answers: Mapping[str, Sequence[Row]], again: KeptRun) -> Iterator[str]:
    for system in origin.scores:
        if system not in answers:
            yield f"{system}: the answers are not kept here, so only their scores are compared"
    if origin.kept is None:
        yield f"this project has no run {origin.run}: steps are compared by what the manifest holds"
        return
    asked = {
        name: (one, two)
        for name, (one, two) in matched_steps(origin.kept, again).items()
        if one is not None and two is not None and one.key != two.key
    }
    if asked:
        first = next(iter(asked))
        yield (
            f"{len(asked)} steps were asked for otherwise than then, first {first}: documents, pairs, settings, "
            "libraries or the machine have changed since"
        )


def _answer_checks(before: Mapping[str, Sequence[Row]], again: KeptRun, tolerance: float) -> Iterator[Check]:
    for system, rows in before.items():
        found = {item_key(r): r.get("text") for r in again.answers(system) or ()}
        other = [item_key(r) for r in rows if found.get(item_key(r)) != r.get("text")]
        missing = len(found.keys() - {item_key(r) for r in rows})
        differ = len(other) + missing
        told = "all equal" if not differ else f"{differ} differ: {', '.join(other[:5])}"
        within = differ <= tolerance * max(1, len(rows))
        yield Check("answers", system, f"{len(rows)} answers", told, not differ, within)


def _score_checks(origin: Origin, record: RunRecord, tolerance: float) -> Iterator[Check]:
    for system, metrics in origin.scores.items():
        found = record.systems[system].metrics if system in record.systems else {}
        for metric in dict.fromkeys([*metrics, *found]):
            if not _timed(metric, found[metric].unit if metric in found else ""):
                kind = "size" if metric == "bytes" else "score"
                values = metrics.get(metric), found[metric].value if metric in found else None
                yield _number_check(kind, f"{system}, {metric}", values, tolerance)


def _timed(metric: str, unit: str) -> bool:
    return metric in _TIMED or unit in _TIMED_UNITS


def _number_check(kind: str, name: str, values: tuple[float | None, float | None], tolerance: float) -> Check:
    before, after = values
    told = ["-" if v is None else f"{v:.12g}" for v in values]
    if before is None or after is None:
        return Check(kind, name, told[0], told[1], equal=False, within=False)
    scale = max(1.0, abs(before))
    return Check(kind, name, told[0], told[1], before == after, abs(after - before) <= tolerance * scale)


def _step_checks(before: KeptRun, again: KeptRun, tolerance: float) -> Iterator[Check]:
    """Digests and sizes of what was built."""
    for name, (one, two) in matched_steps(before, again).items():
        if any(s is not None and s.use.partition("/")[0] in _TIMED_STEPS for s in (one, two)):
            continue
        if one is None or two is None:
            told = ["-" if s is None else s.status for s in (one, two)]
            yield Check("digest", name, told[0], told[1], equal=False, within=False)
            continue
        yield from _output_checks(name, one, two, tolerance)
        sizes = one.measured.get("bytes"), two.measured.get("bytes")
        yield _number_check("size", name, sizes, tolerance)


def _output_checks(name: str, one: StepRecord, two: StepRecord, tolerance: float) -> Iterator[Check]:
    for out in dict.fromkeys([*one.outputs, *two.outputs]):
        before, after = one.outputs.get(out, ""), two.outputs.get(out, "")
        # A stage that says its bytes may differ is judged by what is measured of them.
        free = tolerance > 0 or not one.deterministic
        told = f"{name}, {out}" if out else name
        yield Check("digest", told, before[:16], after[:16], before == after, free or before == after)


def _part_checks(before: Manifest, after: Manifest | None, tolerance: float) -> Iterator[Check]:
    """What the bundles hold, by what each part is for."""
    one, two = dict(_roles(before)), dict(_roles(after)) if after is not None else {}
    for role in dict.fromkeys([*one, *two]):
        then, now = (found[role].digest[:16] if role in found else "-" for found in (one, two))
        same = role in one and role in two and one[role].digest == two[role].digest
        there = role in one and role in two
        yield Check("digest", f"bundle, {role}", then, now, same, same or (there and tolerance > 0))
        if there:
            sizes = one[role].facts.get("bytes"), two[role].facts.get("bytes")
            yield _number_check("size", f"bundle, {role}", sizes, tolerance)


def _roles(manifest: Manifest) -> Iterator[tuple[str, Any]]:
    todo = [*manifest.models.items(), *([("index", manifest.index)] if manifest.index else [])]
    while todo:
        role, name = todo.pop(0)
        part = manifest.parts[name]
        yield role, part
        todo += [(f"{role}.{port}", other) for port, other in part.requires.items()]


def _timings(origin: Origin, record: RunRecord) -> Iterator[Change]:
    for system, metrics in origin.scores.items():
        found = record.systems[system].metrics if system in record.systems else {}
        for metric, value in metrics.items():
            if metric in found and _timed(metric, found[metric].unit):
                unit = found[metric].unit
                yield Change(f"{system}, {metric}", f"{value:.4g} {unit}", f"{found[metric].value:.4g} {unit}")
