"""Settings forms: what to show and to read for each field of a stage's settings, whoever wrote the stage."""

from __future__ import annotations

import enum
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kistack.reporting.numbers import significant

#: How a field is entered.
Control = Literal["switch", "select", "text"]

_LISTS = (list, tuple, set, frozenset)
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class FormField:
    """One setting in a form.

    ``help`` is its description, ``range`` what values it takes in words, ``default`` its default as text (empty where
    it has none), ``choices`` the texts to choose from, ``value`` what it is now.
    """

    name: str
    label: str
    control: Control
    help: str = ""
    range: str = ""
    default: str = ""
    required: bool = False
    choices: tuple[str, ...] = ()
    value: Any = None
    annotation: Any = None

    @property
    def text(self) -> str:
        """Its value as the form shows it."""
        return show(self.value)

    @property
    def note(self) -> str:
        """The line below it: help, range and default."""
        default = "required" if self.required else f"default {self.default or 'empty'}"
        return " · ".join(t for t in (self.help, self.range, default) if t)

    def read(self, text: str) -> Any:
        """The value that a text stands for; what is none of the field's kinds stays text, for the stage to refuse."""
        if self.control == "select":
            return next((c for c in _literals(self.annotation) if show(c) == text), text)
        return _read(self.annotation, text)


def form_of(settings: type[BaseModel], values: Mapping[str, Any]) -> tuple[FormField, ...]:
    """The form of a stage's settings.

    Args:
        settings: the stage's settings.
        values: those that are given; the others have their defaults.
    """
    return tuple(_field(name, info, values) for name, info in settings.model_fields.items())


def _field(name: str, info: FieldInfo, values: Mapping[str, Any]) -> FormField:
    default = None if info.is_required() else info.get_default(call_default_factory=True, validated_data={})
    annotation = info.annotation
    literals = tuple(show(c) for c in _literals(annotation))
    control: Control = "text"
    if annotation is bool:
        control = "switch"
    elif literals and _only_literals(annotation):
        control = "select"
    return FormField(
        name=name,
        label=info.title or name.replace("_", " "),
        control=control,
        help=info.description or "",
        range=_range(annotation, info.metadata),
        default=show(default),
        required=info.is_required(),
        choices=literals if control == "select" else (),
        value=values.get(name, default),
        annotation=annotation,
    )


def show(value: Any) -> str:
    """A setting's value as text that ``FormField.read`` reads back."""
    if value is None:
        return ""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return str(yaml.safe_dump(dict(value), default_flow_style=True, width=10_000, sort_keys=False)).strip()
    return ", ".join(show(v) for v in value) if isinstance(value, _LISTS) else str(value)


# --- kinds


def _members(annotation: Any) -> Iterator[Any]:
    """The alternatives of an annotation, without what is said about them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in {Union, types.UnionType}:
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def _literals(annotation: Any) -> tuple[Any, ...]:
    found: list[Any] = []
    for member in _members(annotation):
        if get_origin(member) is Literal:
            found += get_args(member)
        elif isinstance(member, type) and issubclass(member, enum.Enum):
            found += [m.value for m in member]
    return tuple(found)


def _only_literals(annotation: Any) -> bool:
    return all(
        get_origin(m) is Literal or (isinstance(m, type) and issubclass(m, enum.Enum)) for m in _members(annotation)
    )


def _read(annotation: Any, text: str) -> Any:
    members = list(_members(annotation))
    text = text.strip()
    if not text and type(None) in members:
        return None
    for literal in _literals(annotation):
        if show(literal) == text:
            return literal
    if any(get_origin(m) in _LISTS or m in _LISTS for m in members):
        item = next((get_args(m)[0] for m in members if get_origin(m) in _LISTS and get_args(m)), str)
        return [_read(item, part) for part in text.split(",") if part.strip()]
    if any(_is_mapping(m) for m in members):
        return _mapping(text)
    return _scalar(members, text)


def _scalar(members: list[Any], text: str) -> Any:
    for kind in (int, float):
        if kind in members:
            try:
                return kind(text)
            except ValueError:
                continue
    return _TRUTH.get(text.lower(), text) if bool in members else text


def _is_mapping(member: Any) -> bool:
    kind = get_origin(member) or member
    return isinstance(kind, type) and issubclass(kind, (Mapping, BaseModel))


def _mapping(text: str) -> Any:
    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError:
        return text


# --- ranges


def _range(annotation: Any, metadata: list[Any]) -> str:
    """What values are taken, in words: ``1 to 512``, ``above 0, or auto``."""
    told = [_bounds(metadata)] if metadata else []
    told += [_bounds(rest) for rest in _annotations(annotation)]
    members = list(_members(annotation))
    if any(get_origin(m) in _LISTS or m in _LISTS for m in members):
        told.append("separated by commas")
    if any(_is_mapping(m) for m in members):
        told.append("{name: value, …}")
    words = ", ".join(t for t in dict.fromkeys(told) if t)
    literals = [show(c) for c in _literals(annotation)]
    if literals and not _only_literals(annotation):
        words += (", or " if words else "") + " or ".join(literals)
    return words


def _annotations(annotation: Any) -> Iterator[list[Any]]:
    if get_origin(annotation) is Annotated:
        inner, *rest = get_args(annotation)
        yield [*_flat(rest)]
        yield from _annotations(inner)
    else:
        for member in get_args(annotation):
            if get_origin(annotation) is not Literal:
                yield from _annotations(member)


def _flat(metadata: list[Any]) -> Iterator[Any]:
    for entry in metadata:
        if isinstance(entry, FieldInfo):
            yield from entry.metadata
        else:
            yield entry


def _bounds(metadata: list[Any]) -> str:
    limits: dict[str, Any] = {}
    for entry in metadata:
        for name in ("ge", "gt", "le", "lt", "min_length", "max_length", "multiple_of"):
            if (value := getattr(entry, name, None)) is not None:
                limits[name] = value
    words = []
    if "ge" in limits and "le" in limits:
        words.append(f"{_number(limits['ge'])} to {_number(limits['le'])}")
    else:
        names = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
        words += [f"{word} {_number(limits[n])}" for n, word in names.items() if n in limits]
    if "multiple_of" in limits:
        words.append(f"in steps of {_number(limits['multiple_of'])}")
    names = {"min_length": "at least {} long", "max_length": "at most {} long"}
    words += [word.format(limits[n]) for n, word in names.items() if n in limits]
    return ", ".join(words)


def _number(value: Any) -> str:
    if isinstance(value, float) and not value.is_integer():
        return significant(value)
    return f"{int(value)}" if isinstance(value, (int, float)) else str(value)
