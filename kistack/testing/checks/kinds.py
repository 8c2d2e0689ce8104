"""What is demanded of evaluators, sources, profilers, quantizers."""

from __future__ import annotations

import math
import time

from kistack.domain.artifacts import Type
from kistack.errors import KistackError, StoreError
from kistack.evaluation.scoring import Scores, read_scores
from kistack.plugins.builtins import read_jsonl
from kistack.testing.findings import Fault, Skip, check
from kistack.testing.specimens import bytes_of
from kistack.testing.subject import Subject

_FOREIGN = ("no-such-scheme:x/y", "", "/no/such/folder/anywhere", "hub:org/name")
_CLAIM_SECONDS = 0.1
_MISSING = "-that-is-not-there"


@check("scores-readable", "leaves scores that are finite, within their intervals, and one per answer", "evaluate")
def scores_readable(subject: Subject) -> None:
    """NaN must be given to ``Scores`` as a failed item, which counts as the worst there is, never averaged away."""
    answers = subject.given.get("answers", ())
    count = sum(1 for _ in read_jsonl(answers[0].path / "answers.jsonl")) if answers else None
    for artifact in subject.made.values():
        try:
            scores = read_scores(artifact.path)
        except StoreError as error:
            raise Fault(error.message, "write it with kistack.evaluation.scoring.Scores") from error
        _check_items(scores, count)
        _check_totals(scores)


def _check_items(scores: Scores, count: int | None) -> None:
    for metric, values in scores.items.items():
        if not all(math.isfinite(v) for v in values):
            raise Fault(f"metric {metric!r} has an item that is no number (NaN or infinite)", "use Scores.add_mean")
        if count is not None and len(values) != count:
            raise Fault(f"metric {metric!r} has {len(values)} numbers for {count} answers", "one per answer, in order")


def _check_totals(scores: Scores) -> None:
    for metric, total in scores.totals.items():
        if not all(math.isfinite(v) for v in (total.value, total.low, total.high)):
            raise Fault(f"metric {metric!r} is no number (NaN or infinite)", "use Scores.add_total: it says why")
        if not total.low - 1e-9 <= total.value <= total.high + 1e-9:
            raise Fault(f"metric {metric!r} lies outside its interval", "low <= value <= high")
    if not scores.totals and not scores.unavailable:
        raise Fault("it leaves no metric and no reason", "add a metric, or unavailable[metric] = reason")
    if both := sorted(scores.totals.keys() & scores.unavailable.keys()):
        raise Fault(f"metric {both[0]!r} is both there and unavailable", "decide")


@check("metrics-named", "names its metrics in lower case", "evaluate")
def metrics_named(subject: Subject) -> None:
    """Metrics are named in scenarios, plans and reports: letters, digits, ``_`` and ``@``."""
    names = {m for a in subject.made.values() for m in read_scores(a.path).totals}
    for name in names:
        if not name or not name.replace("_", "").replace("@", "").isalnum() or name != name.lower():
            raise Fault(f"metric {name!r} is no plain name", "lower case letters, digits, _ and @")


@check("claims-its-own", "claims references written its way and no others, at once", "source")
def claims_its_own(subject: Subject) -> None:
    """Exactly one source must claim a reference: one that claims everything makes other models unusable."""
    reference = getattr(subject.settings, "reference", None)
    if reference is None:
        raise Skip("its settings have no reference")
    start = time.perf_counter()
    if subject.stage.claims(reference) is None:
        raise Fault(f"it does not claim {reference!r}, which it is to fetch", "claims(reference) returns its settings")
    others = [r for r in _FOREIGN if r != reference and subject.stage.claims(r) is not None]
    own = [r for r in others if r.partition(":")[0] == subject.name.partition("/")[2]]
    taken = [r for r in others if r not in own and not (r.startswith("/") and reference.startswith("/"))]
    if taken:
        raise Fault(f"it claims {taken[0]!r}", "claim a scheme of its own, such as name:…")
    if time.perf_counter() - start > _CLAIM_SECONDS * (1 + len(_FOREIGN)):
        raise Fault("claiming takes long", "look at the text of a reference, not at the network")


@check("inspects-the-same", "says before it runs what it then leaves", "source")
def inspects_the_same(subject: Subject) -> None:
    """``inspect`` decides limits and keys: identity, format and sizes must hold of what ``run`` leaves."""
    try:
        found = subject.stage.inspect(subject.resolved)
    except KistackError as error:
        raise Fault(f"inspect: {error.message}", "inspect must describe what run fetches") from error
    if not isinstance(found, Type) or not found.identity:
        raise Fault("inspect says no identity", "identity is a digest of the content")
    if found != subject.stage.inspect(subject.resolved):
        raise Fault("inspect answers otherwise the second time", "describe the files, nothing else")
    for name, artifact in subject.made.items():
        if found.format and found.format != artifact.format:
            raise Fault(f"inspect says format {found.format}, {name} is {artifact.format}", "let them agree")
        size = bytes_of(artifact.path)
        if "bytes" in found.facts and not size / 2 - 65536 <= found.facts["bytes"] <= 2 * size + 65536:
            raise Fault(f"inspect says {found.facts['bytes']:.0f} bytes, {size} lie there", "count the files")


@check("missing-named", "says in one line what it cannot find", "source")
def missing_named(subject: Subject) -> None:
    """A reference to what is not there must end in kistack's own error, which names it, not in a traceback."""
    reference = getattr(subject.settings, "reference", None)
    if reference is None:
        raise Skip("its settings have no reference")
    if subject.traits.network:
        raise Skip("it would ask the network")
    claimed = subject.stage.claims(f"{reference}{_MISSING}")
    if claimed is None:
        raise Skip("it claims only what is there")
    try:
        subject.stage.inspect(claimed)
    except KistackError as error:
        if _MISSING not in error.message:
            raise Fault(f"of a missing model it says: {error.message}", "name the reference") from error
        return
    except Exception as error:
        raise Fault(f"of a missing model it raised {type(error).__name__}", "raise ModelError(what, remedy)") from error
    raise Fault("it describes a model that is not there", "raise ModelError(what, remedy)")


@check("facts-for-the-profile", "leaves facts that are numbers, and says how they were measured", "profile")
def facts_for_the_profile(subject: Subject) -> None:
    """A profiler's facts join the profile under the name of its output: at least one beside the bytes of its file."""
    outcome = subject.done.outcome
    assert outcome is not None
    for name in subject.traits.produces:
        found = {n: v for n, v in outcome.facts.get(name, {}).items() if n != "bytes"}
        if not found:
            raise Fault(f"{name} has no fact but its bytes", "return {name: {'bytes': …, 'fact': number}}")
    if not subject.traits.timed:
        raise Fault("it measures a machine and does not say timed=True", "Traits(timed=True): never reused elsewhere")


@check("smaller", "leaves a model that is smaller than the one it read, or says the same precision", "quantize")
def smaller(subject: Subject) -> None:
    """Fewer bits must show on disk; tokenizers and configs, which stay, are allowed for."""
    for port, artifacts in subject.given.items():
        if artifacts[0].kind != "model" or subject.traits.consumes[port].opened:
            continue
        before = bytes_of(artifacts[0].path)
        for name, made in subject.made.items():
            if made.kind == "model" and bytes_of(made.path) > 1.02 * before + 16384:
                raise Fault(f"{name} takes {bytes_of(made.path)} bytes, its source {before}", "store fewer bits")
            if made.kind == "model" and "precision" in made.facets and made.facets == artifacts[0].facets:
                raise Fault(f"{name} has the facets of its source", "set={'precision': …}: a later step must know")
