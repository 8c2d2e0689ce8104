"""YAML read safely, with the line of every value, and checked against a pydantic model: all problems at once."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kistack.errors import InputError, InvalidInput, Problem, ScenarioError

Model = TypeVar("Model", bound=BaseModel)

#: Where a value stands: keys and list indexes from the top of the file.
Place = tuple[str | int, ...]

#: PyYAML's safe loader, in C where it was built with libyaml: five times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: What YAML calls not printable.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_PREFIX = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(_PREFIX + name for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq"))

#: Aliases let a few lines of YAML stand for billions of values; no honest scenario or plan comes near this.
MAX_VALUES = 100_000


@dataclass
class Positions:
    """The line of every value of one file, and the problems found while reading it.

    ``lines`` maps a place to its line, counted from 1 (of its key in a mapping, of itself in a list).
    ``broken`` are places that already have a problem, so that checking them again would say it twice.
    """

    path: Path
    lines: dict[Place, int] = field(default_factory=dict)
    broken: set[Place] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def where(self, place: Place) -> str:
        """``kistack.yaml:12`` for the nearest known enclosing place."""
        while place and place not in self.lines:
            place = place[:-1]
        return f"{self.path.name}:{self.lines.get(place, 1)}"

    def add(self, place: Place, message: str, hint: str = "") -> None:
        """Note a problem at ``place``."""
        self.broken.add(place)
        self.problems.append(Problem(self.where(place), message, hint))


def plain_yaml(text: str) -> Any:
    """The plain data of a YAML text that needs no lines for messages, such as a shipped table.

    Raises:
        yaml.YAMLError: it is not YAML, or asks for anything but plain data.
    """
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader


def load_yaml(path: Path, *, error: type[InvalidInput] = ScenarioError, collect: bool = False) -> tuple[Any, Positions]:
    """The plain data in a YAML file (keys are texts) and where each value stands.

    Tags that would build objects, duplicate keys and merge keys are refused. With ``collect`` such problems are left
    in ``positions.problems`` for ``validate`` to report together with its own.

    Raises:
        InputError: the file cannot be read.
        InvalidInput: (as ``error``) it is not YAML, or holds what is refused.

    """
    positions = Positions(Path(path))
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as problem:
        raise InputError(f"{path}: {problem.strerror or problem}", "give the path of a readable YAML file") from problem
    except UnicodeDecodeError as problem:
        raise InputError(f"{path}: not UTF-8 text (byte {problem.start})", "save the file as UTF-8") from problem
    try:
        loader = _LOADER(text)
        node = loader.get_single_node()
        data = None if node is None else _Reader(loader, positions).read(node, ())
    except yaml.reader.ReaderError as problem:
        raise error(str(path), [_character_problem(positions, text, problem)]) from problem
    except yaml.YAMLError as problem:
        raise error(str(path), [_syntax_problem(positions, problem)]) from problem
    if positions.problems and not collect:
        raise error(str(path), positions.problems)
    return data, positions


def _syntax_problem(positions: Positions, problem: yaml.YAMLError) -> Problem:
    mark = getattr(problem, "problem_mark", None)
    line = mark.line + 1 if mark is not None else 1
    reason = getattr(problem, "problem", None) or getattr(problem, "reason", None) or str(problem).splitlines()[0]
    return Problem(
        f"{positions.path.name}:{line}", f"not YAML: {reason}", "check indentation, quotes and colons at this line"
    )


def _character_problem(positions: Positions, text: str, problem: yaml.reader.ReaderError) -> Problem:
    """A character that no YAML file may hold."""
    found = _FORBIDDEN.search(text)
    if found is None:
        return _syntax_problem(positions, problem)
    line = text.count("\n", 0, found.start()) + 1
    character = ord(found[0])
    named = "a NUL byte" if not character else f"the control character U+{character:04X}"
    return Problem(
        f"{positions.path.name}:{line}", f"{named} stands in this line", "remove it, or save the file as UTF-8 text"
    )


class _Reader:
    """Turns nodes into data, noting lines and problems."""

    def __init__(self, loader: yaml.SafeLoader, positions: Positions) -> None:
        self._loader = loader
        self._positions = positions
        self._count = 0

    def read(self, node: yaml.Node, place: Place) -> Any:
        self._positions.lines.setdefault(place, node.start_mark.line + 1)
        self._count += 1
        if self._count > MAX_VALUES or len(place) > 100:  # noqa: PLR2004 - deeper than any document, or a cycle
            if not any(not p for p in self._positions.broken):
                self._positions.add((), "aliases (&, *) expand to too many values", "write the values out")
            return None
        if node.tag not in _PLAIN_TAGS:
            shown = node.tag.replace(_PREFIX, "!!")
            self._positions.add(
                place, f"the tag {shown} is refused: only plain values are read", f"remove {shown} and write the value"
            )
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*place, index)) for index, item in enumerate(node.value)]
        try:
            return self._loader.construct_object(node)
        except (ValueError, yaml.YAMLError) as problem:
            self._positions.add(place, f"{node.value!r} does not parse: {problem}", "quote it to keep it as text")
            return None

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag not in _PLAIN_TAGS:
                self._positions.lines[*place, "?"] = key.start_mark.line + 1
                shown = key.value if isinstance(key, yaml.ScalarNode) else key.tag
                self._positions.add((*place, "?"), f"{shown!r} cannot be a key", "use a plain name as key")
                continue
            inner = (*place, key.value)
            if key.value in found:
                first = self._positions.lines[inner]
                self._positions.lines[inner] = key.start_mark.line + 1
                self._positions.add(
                    inner, f"the key {key.value!r} stands twice (first at line {first})", "keep one of the two"
                )
                self._positions.lines[inner] = first
                continue
            self._positions.lines[inner] = key.start_mark.line + 1
            found[key.value] = self.read(value, inner)
        return found


# --- checking against a model


def validate(
    model_class: type[Model],
    data: Any,
    positions: Positions,
    path: Path | None = None,
    *,
    error: type[InvalidInput] = ScenarioError,
    context: Mapping[str, Any] | None = None,
) -> Model:
    """An instance of ``model_class`` from the data of ``load_yaml``.

    ``context`` reaches the model's validators (``info.context``).

    Raises:
        InvalidInput: (as ``error``) with one Problem per mistake, in the order of lines.

    """
    shown = str(path or positions.path)
    if not isinstance(data, dict):
        message = "the file is empty" if data is None else f"the file holds {_shown(data)}, not keys with values"
        problems = positions.problems or [Problem(positions.where(()), message, _names_hint(model_class))]
        raise error(shown, problems)
    found: list[Problem] = list(positions.problems)
    instance: Model | None = None
    try:
        instance = model_class.model_validate(data, context=dict(context or {}))
    except ValidationError as problem:
        for details in problem.errors(include_url=False):
            place = _place(details["loc"], data)
            if any(place[: len(b)] == b for b in positions.broken):
                continue
            found.append(_problem(model_class, details, place, positions))
    if found or instance is None:
        found = list(dict.fromkeys(found))
        raise error(shown, sorted(found, key=lambda p: int(p.where.rpartition(":")[2] or 0)))
    return instance


def _place(location: Sequence[str | int], data: Any) -> Place:
    """The part of a pydantic location that exists in the data, plus the last name (it may be missing or unknown)."""
    place: list[str | int] = []
    node = data
    for index, part in enumerate(location):
        in_list = isinstance(node, list) and isinstance(part, int) and part < len(node)
        if in_list or (isinstance(node, dict) and part in node):
            node = node[part]
        elif index == len(location) - 1 and isinstance(node, dict):
            place.append(part)
            break
        else:
            continue
        place.append(part)
    return tuple(place)


def _problem(model_class: type[BaseModel], details: ErrorDetails, place: Place, positions: Positions) -> Problem:
    kind, value = details["type"], details["input"]
    name = _dotted(place) or "the file"
    where = positions.where(place)
    context = details.get("ctx", {})
    if kind == "extra_forbidden":
        owner = _model_at(model_class, details["loc"][:-1])
        accepted = _field_names(owner) if owner is not None else []
        return Problem(where, f"unknown key {name!r}", _closest(str(details["loc"][-1]), accepted))
    if kind == "missing":
        owner = _model_at(model_class, details["loc"][:-1])
        return Problem(where, f"{name!r} is missing", _description(owner, str(details["loc"][-1]), name))
    cause = context.get("error")
    if isinstance(cause, InputError):
        return Problem(where, f"{name}: {cause.message}", cause.hint)
    if kind == "literal_error":
        accepted = [a.strip(" '") for a in str(context["expected"]).replace(" or ", ",").split(",")]
        return Problem(where, f"{name}: {_shown(value)} is not accepted", _closest(str(value), accepted))
    if kind == "value_error" and cause is not None:
        message, _, hint = str(cause).partition("; ")
        return Problem(where, f"{name}: {message}", hint)
    owner = _model_at(model_class, details["loc"][:-1])
    hint = _description(owner, str(details["loc"][-1]), name)
    reason = details["msg"].replace("Input should be", "should be").replace("valid dictionary", "mapping of keys")
    reason = reason.replace("a valid tuple", "a list").replace("Tuple", "the list").replace("after validation, ", "")
    said = f"{name} has no value" if value is None else f"{name}: {_shown(value)} {reason}"
    return Problem(where, said, f"{hint}; or leave the key out" if value is None and hint else hint)


def _dotted(place: Place) -> str:
    """``knowledge.corpus[0].path``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"  # noqa: PLR2004 - one line stays one line


def _closest(name: str, accepted: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, accepted, n=1, cutoff=0.6)
    listed = "accepted: " + ", ".join(accepted)
    return f"did you mean {close[0]!r}? {listed}" if close else listed


def _names_hint(model: type[BaseModel]) -> str:
    return "accepted keys: " + ", ".join(_field_names(model))


def _field_names(model: type[BaseModel]) -> list[str]:
    return [f.alias or name for name, f in model.model_fields.items() if not f.exclude]


def _description(model: type[BaseModel] | None, key: str, name: str) -> str:
    for field_name, info in model.model_fields.items() if model is not None else ():
        if key in {field_name, info.alias} and info.description:
            return f"{name}: {info.description}"
    return ""


def _model_at(model: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel] | None:
    """The model that holds the value at ``location``, following fields, unions, lists and mappings."""
    current: type[BaseModel] | None = model
    is_key = False
    for part in location:
        if isinstance(part, int) or is_key:  # annotations of lists and mappings were followed to their items already
            is_key = False
            continue
        fields = {info.alias or n: info for n, info in current.model_fields.items()} if current is not None else {}
        if part not in fields:
            return None
        annotation = fields[part].annotation
        is_key = typing.get_origin(annotation) in {dict, Mapping}
        current = _inner_model(annotation)
    return current


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """The first model inside an annotation such as ``tuple[Part, ...]`` or ``Part | None``."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    for inner in typing.get_args(annotation):
        if (found := _inner_model(inner)) is not None:
            return found
    return None
