"""Changing single values of a YAML file as a careful person would: every other line and comment stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from kistack.domain.yamlfile import plain_yaml
from kistack.errors import InputError

#: A key from the top of the file: ``("limits", "memory")``.
Key = tuple[str, ...]

_INDENT = 2
_WIDTH = 10_000


def edited(text: str, changes: Mapping[Key, Any]) -> str:
    """The text with each key at its new value; None takes the key out.

    The only key of a section becomes ``null`` instead. A value that stands there is replaced where it stands, so that
    what follows it on its line stays. A new key is put after the comment that shows it (``# memory: 2GiB``) where there
    is one in its section, else at the section's end; a section that is not there is added at the end of the file.

    Raises:
        InputError: the text is no mapping, or the change cannot be made without touching something else.
    """
    for key, value in changes.items():
        expected = _expected(_mapping(text), key, value)
        text = _changed(text, key, value)
        if _read(text) != expected:
            raise _by_hand(key, value)
    return text


def _by_hand(key: Key, value: Any) -> InputError:
    return InputError(f"{'.'.join(key)} cannot be changed without touching other lines",
                      f"write it by hand: {'.'.join(key)} is to be {'absent' if value is None else value}")  # fmt: skip


def _read(text: str) -> Any:
    """The data of a text; what an alias repeats is repeated, so that a change of one is seen to change the other."""
    try:
        return _unshared(plain_yaml(text))
    except yaml.YAMLError:
        return None


def _unshared(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unshared(inner) for name, inner in value.items()}
    return [_unshared(inner) for inner in value] if isinstance(value, list) else value


def _mapping(text: str) -> dict[str, Any]:
    found = _read(text)
    if not isinstance(found, dict):
        raise InputError("the file holds no keys with values", "mend it by hand first")
    return found


def _expected(data: dict[str, Any], key: Key, value: Any) -> dict[str, Any]:
    """The data after the change."""
    node = data
    for part in key[:-1]:
        inner = node.get(part)
        if not isinstance(inner, dict):
            if value is None:
                return data
            inner = node[part] = {}
        node = inner
    if value is not None:
        node[key[-1]] = value
        return data
    if key[-1] in node and len(node) == 1:
        node[key[-1]] = None
    else:
        node.pop(key[-1], None)
    return data


def _changed(text: str, key: Key, value: Any) -> str:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    node, depth = root, 0
    while depth < len(key) - 1:
        found = _entry(node, key[depth])
        if found is None or not isinstance(found[1], yaml.MappingNode):
            break
        node, depth = found[1], depth + 1
    found = _entry(node, key[depth])
    rest = key[depth + 1 :]
    if value is None:
        if found is None or rest:
            return text
        # A section that lost its only key would be no section any more.
        return _without(text, node, found) if len(node.value) > 1 else _replaced(text, found, None)
    if found is not None:
        return _replaced(text, found, _nested(rest, value))
    return _added(text, node, key[depth], _nested(rest, value))


def _entry(node: yaml.Node, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next(((k, v) for k, v in node.value if isinstance(k, yaml.ScalarNode) and k.value == name), None)


def _nested(rest: Sequence[str], value: Any) -> Any:
    for part in reversed(rest):
        value = {part: value}
    return value


def _flow(value: Any) -> str:
    """A value on one line that may stand anywhere, within braces too."""
    dumped = yaml.safe_dump([value], default_flow_style=True, width=_WIDTH, allow_unicode=True, sort_keys=False)
    return dumped.strip()[1:-1]


def _end(node: yaml.Node) -> int:
    """Where a node's own text ends: a block's mark lies behind the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _replaced(text: str, found: tuple[yaml.Node, yaml.Node], value: Any) -> str:
    key, node = found
    end = _end(node)
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        start = int(key.end_mark.index)
        start = text.index(":", start) + 1
        return f"{text[:start]} {_flow(value)}{text[end:]}"
    start, new = int(node.start_mark.index), _flow(value)
    if start == end:  # a key without a value
        new = f" {new}"
    # A comment keeps its column where the room allows.
    rest = text[end:]
    gap = len(rest) - len(rest.lstrip(" "))
    if rest[gap : gap + 1] == "#":
        gap = max(2, gap - (len(new) - (end - start)))
        rest = " " * gap + rest.lstrip(" ")
    return text[:start] + new + rest


def _added(text: str, node: yaml.Node, name: str, value: Any) -> str:
    """A new key in a mapping, as the last one or below the comment that shows it."""
    if node.flow_style and isinstance(node, yaml.MappingNode):
        close = int(node.end_mark.index) - 1
        comma = ", " if node.value else ""
        return f"{text[:close].rstrip() if comma else text[:close]}{comma}{name}: {_flow(value)}{text[close:]}"
    first, last = node.value[0][0], node.value[-1][1]
    indent = " " * int(first.start_mark.column)
    lines = text.splitlines(keepends=True)
    line = text.count("\n", 0, _end(last))
    shown = _shown_at(lines, int(first.start_mark.line), indent, name)
    line = shown if shown is not None else line
    if not lines[line].endswith("\n"):
        lines[line] += "\n"
    lines.insert(line + 1, f"{indent}{name}: {_flow(value)}\n")
    return "".join(lines)


def _shown_at(lines: Sequence[str], start: int, indent: str, name: str) -> int | None:
    """The line of a comment in this block that shows the key."""
    found = None
    for number in range(start, -1, -1):  # comments may stand before the first key
        line = lines[number]
        if line.strip() and not line.lstrip().startswith("#") and number != start:
            break
        found = number if _shows(line, name) else found
    for number in range(start, len(lines)):
        line = lines[number]
        inner = len(line) - len(line.lstrip(" ")) >= len(indent)
        if line.strip() and not inner and not (line.startswith("#") and not indent):
            break
        found = number if found is None and _shows(line, name) else found
    return found


def _shows(line: str, name: str) -> bool:
    bare = line.strip()
    return bare.startswith("#") and bare.lstrip("# ").startswith(f"{name}:")


def _without(text: str, node: yaml.Node, found: tuple[yaml.Node, yaml.Node]) -> str:
    """The text without one of several keys of a mapping."""
    start, end = int(found[0].start_mark.index), _end(found[1])
    if not node.flow_style:
        lines = text.splitlines(keepends=True)
        first, last = text.count("\n", 0, start), text.count("\n", 0, end)
        return "".join(lines[:first] + lines[last + 1 :])
    if (after := text[end:].lstrip()).startswith(","):
        return text[:start] + after[1:].lstrip()
    return text[:start].rstrip().removesuffix(",") + text[end:]
