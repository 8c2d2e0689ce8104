"""Types while composing: whether one meets what a port asks, and what a stage makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kistack.composition.pipeline import Bound
from kistack.domain.artifacts import Opener, Type
from kistack.errors import InputError
from kistack.plugins.stages import Out, Settings, Stage, Traits


def alternatives(value: str) -> tuple[str, ...]:
    """The alternatives of a port's ``where`` value."""
    return tuple(value.split("|"))


def meets(found: Type, where: Mapping[str, str]) -> str:
    """The first name of ``where`` that ``found`` does not satisfy, or an empty string."""
    for name, wanted in where.items():
        if found.read(name) not in alternatives(wanted):
            return name
    return ""


def output_types(
    stage: Stage,
    settings: Settings,
    traits: Traits,
    key: str,
    bound: Mapping[str, tuple[Bound, ...]],
    facts: Mapping[str, Mapping[str, float]],
) -> dict[str, Type]:
    """The types of a stage's outputs; ``facts`` are what its estimate says of each.

    Raises:
        InputError: the estimate leaves out an output's bytes.
    """
    made: dict[str, Type] = {}
    for name, out in traits.produces.items():
        source = bound[out.like][0].type if out.like in bound else Type(out.kind)
        stated = dict(facts.get(name, {}))
        if "bytes" not in stated:
            raise InputError(
                f"{stage.name}: its estimate does not say how many bytes {name!r} takes",
                "report it to the plugin's author: Estimate.facts needs bytes for every output",
            )
        inherited = {n: v for n, v in source.facts.items() if n != "bytes"}
        line = source.line if out.same else (stage.name,) if out.fresh else (*source.line, stage.name)
        needs: dict[str, None] = {}
        for port in out.requires:
            for b in bound.get(port, ()):
                needs[b.type.identity] = None
                needs.update(dict.fromkeys(b.type.needs))
        if not out.requires and out.same is False and out.like and out.format in {"", source.format}:
            needs.update(dict.fromkeys(source.needs))
        virtual = virtual_type(source, out)
        opens_itself = any(o.covers(out.kind, virtual.format) for o in traits.opens)
        opener = Opener(stage.name, settings.model_dump(mode="json", exclude_defaults=True)) if opens_itself else None
        made[name] = replace(
            virtual,
            facts={**inherited, **stated},
            identity=f"{key}/{name}",
            needs=tuple(needs),
            line=line,
            opener=opener,
        )
    return made


def virtual_type(source: Type, out: Out) -> Type:
    """The type of ``out`` made from ``source``, as far as matching is concerned."""
    copies = bool(out.like)
    return Type(
        kind=out.kind,
        format=out.format or (source.format if copies else ""),
        facets={**(source.facets if copies else {}), **out.set},
        facts=source.facts if copies else {},
    )


def main_out(traits: Traits) -> Out | None:
    """The first output, which ``as`` redirects; None for a stage that writes nothing."""
    return next(iter(traits.produces.values()), None)


def came_through(found: Type) -> str:
    """Its line of descent for a message, empty where it has none."""
    return f" (it came through {', '.join(found.line)})" if found.line else ""


def with_article(kind: str) -> str:
    """The kind with its article."""
    return f"an {kind}" if kind[:1] in "aeiou" else f"a {kind}"
