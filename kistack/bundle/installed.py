"""What is installed: kistack's distributions, the libraries they stand on, and what their extras would add."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata

#: ``name[extras] >=1.2; marker``, as wheels write it.
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^]]*])?\s*\(?([^;)]*)\)?\s*(?:;(.*))?")
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")
_LEAST = re.compile(r">=\s*([\w.]+)")

_CORE = "kistack"
#: What the core's own extras are for. Those of a plugin are told by its ``EXTRAS``.
_CORE_EXTRAS = {
    "browser": "tests of the wizard and the HTML report in a browser",
    "dev": "tests, linters and builds, for work on kistack itself",
}


@dataclass(frozen=True, slots=True)
class Library:
    """A library that is required: its version here, who requires it and at least which.

    ``state`` is ``ok``, ``missing`` or ``too old``.
    """

    name: str
    version: str
    least: str
    needed_by: tuple[str, ...]
    state: str


@dataclass(frozen=True, slots=True)
class Extra:
    """An extra of which something is not installed: the packages it lacks, and what it would add."""

    distribution: str
    name: str
    missing: tuple[str, ...]
    adds: str


@dataclass(frozen=True, slots=True)
class _Requirement:
    name: str
    least: str
    extra: str
    conditional: bool


def version_of(distribution: str) -> str:
    """The installed version; empty where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def distributions(roots: Iterable[str]) -> list[str]:
    """These distributions, and those of kistack's family that they require, by name; what is not installed is left out.

    A family member is recognised by its name: shared code of plugins registers nothing itself.
    """
    found: set[str] = set()
    waiting = [_CORE, *roots]
    while waiting:
        name = waiting.pop()
        if name and name not in found and version_of(name):
            found.add(name)
            waiting += [r.name for r in _requirements(name) if not r.extra and r.name.startswith(f"{_CORE}-")]
    return sorted(found)


def libraries(of: Iterable[str]) -> list[Library]:
    """The libraries that these distributions require, by name; what depends on a platform is left out."""
    wanted: dict[str, dict[str, str]] = {}
    for distribution in of:
        for need in _requirements(distribution):
            if not (need.extra or need.conditional or need.name == _CORE or need.name.startswith(f"{_CORE}-")):
                wanted.setdefault(need.name, {})[distribution] = need.least
    rows = []
    for name, needs in sorted(wanted.items()):
        version = version_of(name)
        least = max(needs.values(), key=_numbers)
        state = "missing" if not version else "too old" if _numbers(version) < _numbers(least) else "ok"
        rows.append(Library(name, version, least, tuple(sorted(needs)), state))
    return rows


def missing_extras(of: Iterable[str], told: Mapping[str, Mapping[str, str]]) -> list[Extra]:
    """Extras of these distributions that lack a package.

    Args:
        of: distributions.
        told: what extras add, by distribution and extra.
    """
    found = []
    for distribution in of:
        packages: dict[str, list[str]] = {}
        for need in _requirements(distribution):
            if need.extra and not version_of(need.name):
                packages.setdefault(need.extra, []).append(need.name)
        texts = _CORE_EXTRAS if distribution == _CORE else told.get(distribution, {})
        found += [Extra(distribution, e, tuple(p), texts.get(e, "")) for e, p in sorted(packages.items())]
    return found


def _requirements(distribution: str) -> list[_Requirement]:
    found = []
    for line in metadata.requires(distribution) or ():
        match = _REQUIREMENT.match(line)
        if match is None:
            continue
        name, bounds, marker = match.group(1), match.group(2), match.group(3) or ""
        extra, least = _EXTRA.search(marker), _LEAST.search(bounds)
        found.append(
            _Requirement(
                re.sub(r"[-_.]+", "-", name).lower(),
                least.group(1) if least else "",
                extra.group(1) if extra else "",
                bool(marker.strip()) and extra is None,
            )
        )
    return found


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, for comparison: ``2.13.0+cpu`` is (2, 13, 0), and 2.0 is 2."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(n) for n in match.group().split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
