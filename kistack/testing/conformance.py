"""The one door: whether a stage keeps the contract."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import Artifact
from kistack.plugins.host import load_host
from kistack.plugins.stages import Stage
from kistack.testing import checks as _checks  # noqa: F401 - registers them
from kistack.testing.findings import CHECKS, Check, ConformanceError, Fault, Report, Result, Skip
from kistack.testing.owners import Plugin, find_plugin
from kistack.testing.probing import probe_lightness
from kistack.testing.subject import Subject


def check_stage(
    stage: type[Stage] | Stage | str,
    *,
    plugin: Any = None,
    settings: Mapping[str, Any] | Any = None,
    inputs: Mapping[str, Artifact] | None = None,
    expected: Mapping[str, str] | None = None,
    readme: Path | None = None,
    only: Iterable[str] = (),
) -> Report:
    """Make every demand of the contract on a stage, with tiny inputs, in processes of its own.

    Args:
        stage: its class, an instance, or its name.
        plugin: what registers it: the ``hooks`` module or object, or a module's name. By default the installed plugin
            that the class belongs to.
        settings: the settings to try it under, where the defaults do not do.
        inputs: artifacts by port, instead of the tiny ones that are made.
        expected: names of checks that fail, each with the reason. A check that is named here and does not fail is a
            failure itself, so that no excuse outlives its reason.
        readme: its README, where it does not lie beside ``pyproject.toml``.
        only: names of the checks to make (default: all).

    Raises:
        ConformanceError: with every failed check, what it demands, what is wrong and the remedy.
        ValueError: ``expected`` or ``only`` names no check, or gives no reason.

    """
    __tracebackhide__ = True  # for pytest: the error says all there is to say
    excuses = _excuses(expected or {})
    wanted = _wanted(only)
    with tempfile.TemporaryDirectory(prefix="kistack-check-") as folder:
        root = Path(folder).resolve()
        subject = _subject(stage, plugin, root, settings=settings, inputs=inputs, readme=readme)
        if isinstance(subject, Report):
            raise ConformanceError(subject)
        report = Report(subject.name, tuple(_made(check, subject, excuses) for check in wanted))
        if report.of("failed"):
            raise ConformanceError(report)
        return report


def stages_of(plugin: str) -> Sequence[str]:
    """Names of the stages that an installed plugin registers, by the name of its entry point or its distribution.

    Raises:
        LookupError: there is no such plugin, or something is wrong with it.

    """
    for state in load_host().plugins:
        if plugin in {state.name, state.distribution}:
            if state.errors:
                raise LookupError(f"plugin {plugin}: {state.errors[0]}")
            return state.stages
    raise LookupError(f"no plugin {plugin!r} is installed: pip install -e .")


def _excuses(expected: Mapping[str, str]) -> Mapping[str, str]:
    for name, reason in expected.items():
        if name not in CHECKS:
            raise ValueError(f"expected names {name!r}, which is no check: {', '.join(CHECKS)}")
        if not reason.strip():
            raise ValueError(f"expected[{name!r}] gives no reason")
    return expected


def _wanted(only: Iterable[str]) -> list[Check]:
    names = set(only)
    if unknown := sorted(names - set(CHECKS)):
        raise ValueError(f"{unknown[0]!r} is no check: {', '.join(CHECKS)}")
    return [c for n, c in CHECKS.items() if not names or n in names]


def _subject(stage: Any, plugin: Any, root: Path, **more: Any) -> Subject | Report:
    """The stage under test, or the report where there is none to test."""
    if isinstance(plugin, str):
        # In a process of its own first: an import that hangs or ends the process must not do so here.
        found = probe_lightness(root, [plugin], {"stage": ""})
        if "error" in found:
            return _only("registered", str(stage), f"{plugin} cannot be imported: {found['error']}", "mend the import")
    if isinstance(stage, str):
        return _by_name(stage, plugin, root, **more)
    instance = stage() if isinstance(stage, type) else stage
    return Subject(instance, find_plugin(type(instance).__module__, plugin), root, **more)


def _by_name(name: str, plugin: Any, root: Path, **more: Any) -> Subject | Report:
    known: Plugin | None = find_plugin("", plugin) if plugin is not None else None
    host = load_host(extra={known.name: known.object}, entry_points=False) if known else load_host()
    if name in host.stages:
        instance = host.stages[name].stage
        return Subject(instance, known or find_plugin(type(instance).__module__), root, **more)
    problem = next(iter(host.problems), f"nothing registers {name}")
    return _only("registered", name, problem, "mend what the line says")


def _only(check: str, stage: str, message: str, remedy: str) -> Report:
    return Report(stage, (Result(CHECKS[check], "failed", message, remedy),))


def _made(check: Check, subject: Subject, excuses: Mapping[str, str]) -> Result:
    """One check made, and held against what was expected of it."""
    found = _outcome(check, subject)
    if check.name not in excuses:
        return found
    if found.status == "failed":
        return Result(check, "expected", f"{found.message} (expected: {excuses[check.name]})")
    return Result(
        check, "failed", f"it was expected to fail ({excuses[check.name]}), and did not", "take it out of expected"
    )


def _outcome(check: Check, subject: Subject) -> Result:
    if check.kinds and subject.kind not in check.kinds:
        return Result(check, "skipped", f"is made on {', '.join(check.kinds)} only")
    try:
        check.run(subject)
    except Skip as skipped:
        return Result(check, "skipped", str(skipped))
    except Fault as fault:
        return Result(check, "failed", fault.message, fault.remedy)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything where it is asked something
        return Result(check, "failed", f"{subject.label} raised {type(error).__name__}: {error}", "see the traceback")
    return Result(check, "passed")
