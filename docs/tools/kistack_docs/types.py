"""Types and defaults of pydantic models and dataclasses in words a reader of YAML knows."""

from __future__ import annotations

import datetime as dt
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, PlainSerializer
from pydantic.fields import FieldInfo

from kistack import units
from kistack.domain import fields
from kistack_docs.text import code

#: What a text is read as, by the function that reads it.
_READ = {
    units.parse_size: "size",
    units.parse_duration: "duration",
    units.parse_share: "share",
    units.parse_rate: "rate",
    units.parse_money: "money",
    units.parse_date: "date",
}
_PLAIN = {
    bool: "yes or no",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    dt.date: "date",
    Any: "anything",
    type(None): "nothing",
}
_LISTS = (tuple, list, frozenset, set, Sequence)
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_LENGTHS = {"min_length": "at least {} long", "max_length": "at most {} long", "pattern": "matching `{}`"}


def describe(info: FieldInfo) -> str:
    """The type of a pydantic field with its bounds."""
    read = _reading(info.metadata)
    named = read or words(info.annotation)
    limits = bounds(info.metadata)
    return f"{named}, {limits}" if limits else named


def words(annotation: Any) -> str:
    """A type in words; a model of its own as a code span of its name."""
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        named, limits = _reading(inner[1:]) or words(inner[0]), bounds(inner[1:])
        return f"{named}, {limits}" if limits else named
    if origin is Literal:
        return ", ".join(code(value) for value in inner)
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(words(one) for one in inner if one is not type(None))
    return _container(origin, inner) or code(getattr(annotation, "__name__", str(annotation)))


def _container(origin: Any, inner: tuple[Any, ...]) -> str:
    """A list, a mapping or a fixed row of values; empty for anything else."""
    if origin in {dict, Mapping}:
        return f"mapping to: {words(inner[1])}"
    if origin is tuple and Ellipsis not in inner:
        return f"({', '.join(words(one) for one in inner)})"
    return f"list of: {words(inner[0])}" if origin in _LISTS else ""


def _reading(metadata: Sequence[Any]) -> str:
    """What a text is read as, where it is one of kistack's own readers."""
    for entry in metadata:
        if isinstance(entry, BeforeValidator):
            function = entry.func
            if function is fields._per_second:  # noqa: SLF001 - the one reader that wraps another
                return "rate per second"
            if function in _READ:
                return _READ[function]
            return {"_resolve": "path", "_preset_key": "machine"}.get(getattr(function, "__name__", ""), "")
    return ""


def bounds(metadata: Sequence[Any]) -> str:
    """Bounds of a number or a text: ``≥ 1, ≤ 1000``."""
    found = []
    for entry in metadata:
        if isinstance(entry, FieldInfo):
            found += [b for b in [bounds(entry.metadata)] if b]
            continue
        for name, sign in _BOUNDS.items():
            if (value := getattr(entry, name, None)) is not None:
                found.append(f"{sign} {value:g}" if isinstance(value, float) else f"{sign} {value}")
        for name, said in _LENGTHS.items():
            if (value := getattr(entry, name, None)) is not None:
                found.append(said.format(value))
    return ", ".join(found)


def default(info: FieldInfo) -> str:
    """The default of a field as one would write it; ``needed`` where there is none."""
    if info.is_required():
        return "needed"
    value = info.get_default(call_default_factory=True) if info.default_factory is None else info.default_factory()  # type: ignore[call-arg]
    for entry in info.metadata:
        if isinstance(entry, PlainSerializer) and value is not None:
            return code(entry.func(value))  # type: ignore[call-arg]
    return written(value)


def written(value: Any) -> str:
    """A value as one would write it in YAML; empty for what stands for nothing."""
    if value is None or value in ("", (), {}, []):
        return ""
    if isinstance(value, BaseModel):
        shown = value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return code(shown) if isinstance(shown, str) else ""
    if isinstance(value, tuple | list):
        return code("[" + ", ".join(written(v).strip("`") for v in value) + "]")
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return code(int(value) if isinstance(value, float) and value == int(value) else value)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic models inside an annotation, in order."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [found for inner in typing.get_args(annotation) for found in models_in(inner)]
