"""The traits: well formed, and what they exclude is refused."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator

from kistack.composition.workbench import is_installed
from kistack.domain.artifacts import FACETS
from kistack.plugins.stages import Traits
from kistack.testing.findings import Fault, Skip, check
from kistack.testing.subject import Subject

_PATTERN = re.compile(r"[a-z*][a-z0-9*-]*/[a-z0-9*][a-z0-9.*_-]*")
_GIVES = {"model": {"generate", "stream", "loglikelihood"}, "index": {"search"}}


@check("traits-well-formed", "has traits in which every name means something")
def traits_well_formed(subject: Subject) -> None:
    """Facets are from the one registry, and ports and outs that are named exist: a typing error matches nothing."""
    call = subject.calls["traits"]
    if "error" in call:
        raise Fault(f"traits raised {call['error']}", "traits must answer for any valid settings")
    if not isinstance(subject.traits, Traits):
        raise Fault(f"traits returns {type(subject.traits).__name__}", "return Traits(…)")
    for fault in _faults(subject.traits):
        raise Fault(fault, "mend the traits")


def _faults(found: Traits) -> Iterator[str]:
    yield from _port_faults(found)
    yield from _out_faults(found)
    for pattern in (*found.before, *found.after, *found.excludes):
        if not _PATTERN.fullmatch(pattern):
            yield f"{pattern!r} is no pattern of stage names"
    for one, other, facet in found.agree:
        if facet not in FACETS or not {one, other} <= set(found.consumes):
            yield f"agree {(one, other, facet)!r} names no two ports and a facet"
    ports = {"", *found.consumes}
    yield from (f"a need names port {n.port!r}, which there is not" for n in found.needs if n.port not in ports)
    for opens in found.opens:
        unknown = set(opens.gives) - _GIVES.get(opens.kind, set(opens.gives))
        if unknown or not opens.gives:
            yield f"opening {opens.kind} gives {', '.join(sorted(unknown)) or 'nothing'}"


def _port_faults(found: Traits) -> Iterator[str]:
    for name, port in found.consumes.items():
        yield from (
            f"port {name!r} asks for {key!r}, which is no facet"
            for key in (*port.where, *port.prefer)
            if key not in FACETS and key != "format"
        )
        if port.where and not port.hint:
            yield f"port {name!r} has a where but no hint"
        if port.gives and not port.opened:
            yield f"port {name!r} asks for {port.gives[0]} but is not opened"


def _out_faults(found: Traits) -> Iterator[str]:
    for name, out in found.produces.items():
        yield from (f"out {name!r} sets {key!r}, which is no facet" for key in out.set if key not in FACETS)
        yield from (
            f"out {name!r} names port {port!r}, which there is not"
            for port in (*((out.like,) if out.like else ()), *out.requires)
            if port not in found.consumes
        )
        if not out.format and not out.like:
            yield f"out {name!r} has no format"


@check("traits-under-suggestions", "has traits under every settings it suggests")
def traits_under_suggestions(subject: Subject) -> None:
    """The advice asks for the traits of each suggestion; one that raises would be lost from it."""
    for found in subject.ask("suggest", subject.profile, subject.types):
        try:
            traits = subject.ask("traits", found)
        except Exception as error:
            raise Fault(f"traits({found!r}) raised {error}", "traits must answer for any valid settings") from error
        for fault in _faults(traits):
            raise Fault(f"under {found!r}: {fault}", "mend the traits")


@check("packages", "names the packages it needs, and they are here")
def packages(subject: Subject) -> None:
    """``packages`` are importable modules: where one is missing a plan is refused before it starts, not in a worker."""
    subject.need_environment()
    sites = subject.environment.sites if subject.environment is not None else ()
    for package in subject.traits.packages:
        if not is_installed(package, sites):
            raise Fault(f"package {package!r} cannot be imported", "name the module, and depend on its distribution")


@check("environment", "registers the environment that its traits name, and it is made")
def environment(subject: Subject) -> None:
    """Only ``kistack plugins env create`` makes it; until then the stage can neither run nor be opened."""
    own = subject.environment
    if own is None:
        raise Skip("it runs where kistack is installed")
    if own not in [known for _, known in subject.alone.environments()]:
        raise Fault(
            f"its traits name environment {own.name!r}, which its plugin does not register",
            "return it from kistack_register_environments",
        )
    if not own.is_made:
        raise Fault(f"its environment {own.name!r} is not made", own.remedy)


@check("order-honest", "does not exclude itself, and comes neither before nor after itself")
def order_honest(subject: Subject) -> None:
    """``before`` and ``after`` patterns that contradict each other could never be met by any plan."""
    found = subject.traits
    for pattern in (*found.before, *found.after):
        if fnmatch.fnmatchcase(subject.name, pattern):
            raise Fault(f"{pattern!r} matches {subject.name} itself", "use excludes where it may not come twice")
    if both := sorted(set(found.before) & set(found.after)):
        raise Fault(f"{both[0]!r} must come both before and after it", "drop one of the two")


@check("exclusions-refused", "is refused by the composer where its traits exclude what it is given")
def exclusions_refused(subject: Subject) -> None:
    """Every port with a ``where`` is offered something that it excludes, every pattern a line that breaks it.

    The composer must refuse each with the stage's own hint: this is how a user learns what to do instead.
    """
    from kistack.testing.composing import refusals

    tried = refusals(subject)
    if not tried:
        raise Skip("its traits exclude nothing")
    for what, said in tried.items():
        if not said:
            raise Fault(f"{what} is not refused", "see that where, before, after and excludes say what they mean")
