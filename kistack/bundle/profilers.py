"""Installed profilers (stages ``profile/…``) measure this machine, each in a worker, once per machine and version."""

from __future__ import annotations

import datetime as dt
import importlib.util
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from kistack.composition.keys import library_version
from kistack.domain.facts import Fact, Profile, measured
from kistack.errors import Cancelled, KistackError, StepFailed
from kistack.plugins.host import Entry, Host, default_settings
from kistack.plugins.stages import Stage
from kistack.profiling.cache import Cache, Facts, default_folder
from kistack.units import format_count, format_duration

#: The one out of a profiler, and the section of the profile that its facts join.
SECTION = "hardware"
#: A profiler may write this file into its out's folder: ``{fact: {"unit": …, "why": …}}``.
NOTES_FILE = "facts.json"
#: A profiler that takes longer is ended: a first profile must stay a matter of seconds.
LIMIT_SECONDS = 60.0

_FAILED = "failed"


def refine(
    host: Host,
    facts: Facts,
    cache: Cache,
    *,
    shared: Cache | None = None,
    refresh: bool = False,
    limit: float = LIMIT_SECONDS,
    notify: Callable[[str], None] = lambda _line: None,
) -> Facts:
    """A machine's facts with what the installed profilers measure of it.

    A profiler's fact replaces one that was assumed and adds one that was missing; what the core measured itself stays.
    A profiler that fails, hangs or lacks a package changes nothing: the facts it would have measured say why.

    Args:
        host: installed stages.
        facts: the machine as the core sees it, without a section's prefix; ``fingerprint`` is its identity.
        cache: where the project keeps what was measured.
        shared: where the user keeps it for all projects (default: the user's cache folder).
        refresh: measure again although it was measured before.
        limit: seconds that one profiler may take.
        notify: called with a line before something takes seconds, and about what went wrong.

    """
    shared = shared or Cache(default_folder())
    for name, entry in sorted(host.stages.items()):
        if not name.startswith("profile/"):
            continue
        found = _measured(host, entry, facts, (cache, shared), refresh=refresh, limit=limit, notify=notify)
        failure = found.pop(_FAILED, None)
        if failure is None:
            facts = merge(facts, found, name)
        else:
            facts = _excuse(facts, found, f"{name} could not measure it: {failure.value}")
    return facts


def merge(facts: Facts, found: Mapping[str, Fact], name: str) -> Facts:
    """Facts with those that the profiler ``name`` found: for what was assumed or missing."""
    merged = dict(facts)
    for fact, new in found.items():
        old = facts.get(fact)
        if old is None or old.source == "assumed":
            merged[fact] = replace(new, unit=new.unit or (old.unit if old else ""))
        elif old.value != new.value:
            merged[fact] = replace(old, why=f"{old.why}; {name} measured {_text(new)}")
    return merged


def _text(fact: Fact) -> str:
    """A fact's value with its unit."""
    value = fact.value
    told = format_count(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    return f"{told}{'' if told[-1:].isalpha() else ' '}{fact.unit}".rstrip()


def _excuse(facts: Facts, wanted: Mapping[str, Fact], reason: str) -> Facts:
    """Facts in which those that a profiler was to measure, and that stay assumed, say why."""
    return {
        n: replace(f, why=f"{f.why}; {reason}") if n in wanted and f.source == "assumed" else f
        for n, f in facts.items()
    }


def _measured(
    host: Host,
    entry: Entry,
    facts: Facts,
    caches: tuple[Cache, Cache],
    *,
    refresh: bool,
    limit: float,
    notify: Callable[[str], None],
) -> Facts:
    """What one profiler measured, now or before; with a fact ``failed`` where it could not."""
    stage = entry.stage
    libraries = host.guard(stage.name, "traits", lambda: _libraries(stage)) if stage.libraries else {}
    key = [facts["fingerprint"].value, stage.name, stage.version, libraries]
    # What failed is tried again the next day, not at every command.
    today = [*key, dt.datetime.now(tz=dt.UTC).date().isoformat()]
    for place in () if refresh else caches:
        for section, kept_as in (("profiler", key), ("profiler-failed", today)):
            kept = place.read(section, kept_as)
            if kept is not None:
                return kept
    notify(f"{stage.name} measures this machine, once")
    try:
        found: Facts = host.guard(stage.name, "run", lambda: _run(entry, caches[0].folder, limit))
        section, kept_as = "profiler", key
    except KistackError as error:
        reason = " ".join(error.message.split())[:300]
        notify(f"{stage.name} could not measure this machine: {reason}")
        found = {n: measured(0, "") for n in _expected(stage, facts)} | {_FAILED: measured(reason, "")}
        section, kept_as = "profiler-failed", today
    for place in caches:
        place.write(section, kept_as, found)
    return found


def _libraries(stage: Stage) -> dict[str, str]:
    own = stage.traits(default_settings(stage)).environment
    return {library: library_version(library, own) for library in stage.libraries}


def _expected(stage: Stage, facts: Facts) -> list[str]:
    """Names of the facts that a profiler's estimate promises; none where it cannot tell."""
    here = Profile({f"{SECTION}.{n}": f for n, f in facts.items()})
    try:
        promised = stage.estimate(default_settings(stage), here, {}).facts.get(SECTION, {})
    except Exception:  # noqa: BLE001 - a plugin may raise anything, and this only adds to a message
        return []
    return [n for n in promised if n != "bytes"]


def _run(entry: Entry, folder: Path, limit: float) -> Facts:
    """Run a profiler in a worker.

    Raises:
        KistackError: it fails, takes too long, lacks a package or is no profiler of machines.

    """
    stage = entry.stage
    settings = default_settings(stage)
    traits = stage.traits(settings)
    if set(traits.produces) != {SECTION} or traits.consumes:
        raise StepFailed(
            f"{stage.name} (plugin {entry.plugin}) must read nothing and have one out named {SECTION!r}",
            "report it to the plugin's author",
        )
    if traits.environment is not None and not traits.environment.is_made:
        raise StepFailed(*traits.environment.lack(stage.name))
    here = () if traits.environment is not None else traits.packages
    missing = [p for p in here if importlib.util.find_spec(p.partition(".")[0]) is None]
    if missing:
        raise StepFailed(f"{', '.join(missing)} is not installed", f"install {' '.join(missing)}")
    # Two commands may measure at once: each works in a folder of its own.
    work = folder.absolute() / "profilers" / f"{re.sub(r'[^A-Za-z0-9.]+', '-', stage.name)}-{os.getpid()}"
    try:
        facts = _in_worker(entry, work, limit)
    except OSError as error:
        raise StepFailed(f"{work}: {error.strerror}", "free some disk, or make the folder writable") from error
    # The log of one that failed is kept to be read.
    shutil.rmtree(work, ignore_errors=True)
    return facts


def _in_worker(entry: Entry, work: Path, limit: float) -> Facts:
    # Deciding with a kept profile must not pay for what runs workers.
    from kistack.execution.job import Job, reference_of
    from kistack.execution.preparation import environment, import_path, interpreter_of
    from kistack.execution.supervision import Limits, Watched, Worker, supervise

    stage = entry.stage
    settings = default_settings(stage)
    traits = stage.traits(settings)
    out, scratch = work / SECTION, work / "scratch"
    for new in (out, scratch):
        new.mkdir(parents=True)
    job = Job(
        key=stage.name,
        use=stage.name,
        plugin=entry.plugin,
        stage=reference_of(stage),
        settings=settings.model_dump(mode="json"),
        inputs={},
        openers={},
        outs={SECTION: out},
        scratch=scratch,
        events=work / "events.jsonl",
        log=work / "log.txt",
        result=work / "result.json",
        clock=work / "clock.json",
        lock=work / "lock",
        env=environment(traits),
        path=import_path() if traits.environment is None else (),
    )
    job.write(work / "job.json")
    watched = Watched(stage.name, entry.plugin, work / "job.json", job.result, job.log)
    deadline = time.monotonic() + limit
    worker = Worker(work / "worker.txt", interpreter_of(stage, traits.environment))
    try:
        outcome = supervise(
            worker, watched, Limits(idle_seconds=limit), heard=lambda: 0, cancelled=lambda: time.monotonic() > deadline
        )
    except Cancelled as error:
        raise StepFailed(f"it took longer than {format_duration(limit, 3)}", f"see {job.log}") from error
    finally:
        worker.close()
    if outcome.error is not None:
        raise outcome.error
    return _described(outcome.facts.get(SECTION, {}), out, stage)


def _described(numbers: Mapping[str, float], out: Path, stage: Stage) -> Facts:
    """Facts of what a profiler returned, with the unit and reason it may have written beside."""
    from kistack.storage.files import read_json

    notes = read_json(out / NOTES_FILE) or {}
    facts: Facts = {}
    for name, value in numbers.items():
        if name == "bytes":
            continue
        note = notes.get(name)
        note = note if isinstance(note, Mapping) else {}
        why = str(note.get("why") or f"measured by {stage.name} {stage.version}")
        facts[name] = measured(value, why, str(note.get("unit") or ""))
    return facts
