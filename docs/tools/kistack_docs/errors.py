"""The pages of errors and of the Python API."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

import kistack
from kistack import errors
from kistack.plugins.host import DISABLE_VARIABLE
from kistack_docs.text import code, page, paragraphs, raises, sentence, table

ERRORS = """\
Everything kistack raises on purpose descends from `KistackError`, which carries `message` (what is wrong, and
where) and `hint` (what to do). The command line prints them as two lines, `error:` and `hint:`, and ends with
the error's exit code; a traceback is shown only under `--debug`."""

#: Characters of a line of code on a page.
_LINE = 96

CODES = (
    ("0", "done"),
    ("1", "failed: a step, a run, a check that found something, or an interruption; what was finished is kept"),
    ("2", "wrong usage or input: nothing was started and nothing was lost"),
)

PYTHON = """\
What `import kistack` gives. The names are loaded when they are first used, so that the import itself costs next
to nothing. [The tutorial](../tutorial/python.md) shows them at work."""


def errors_page() -> str:
    """Exit codes and classes of errors."""
    blocks = [
        "## Exit codes",
        table(("code", "meaning"), CODES),
        "## Classes",
        table(("error", "is a", "exit code", "when"), _rows()),
    ]
    blocks += [paragraphs(errors.Problem.__doc__)[0] + f" `{errors.InvalidInput.__name__}.problems` lists them."]
    blocks += [
        "## Environment variables",
        table(
            ("variable", "what it does"),
            [
                (code(DISABLE_VARIABLE), "names of plugins to leave out, separated by commas; `all` for every one"),
                (code("XDG_CACHE_HOME"), "where measurements of the machine are kept (default: `~/.cache`)"),
                (code("HF_HUB_OFFLINE"), "read by the hub's library: no request leaves the machine"),
            ],
        ),
    ]
    return page("Errors and exit codes", ERRORS, blocks)


def _rows() -> list[tuple[str, str, str, str]]:
    found = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.KistackError)]
    return [
        (
            code(c.__name__),
            ", ".join(code(b.__name__) for b in c.__bases__ if b is not Exception),
            str(c.exit_code),
            sentence(c.__doc__),
        )
        for c in found
    ]


def python_page() -> str:
    """Every public name with its signature."""
    verbs: list[tuple[str, Callable[..., object]]] = []
    types: list[tuple[str, type]] = []
    for name in kistack.__all__:
        value = getattr(kistack, name)
        if isinstance(value, type):
            types.append((name, value))
        else:
            verbs.append((name, value))
    blocks = ["## Verbs"]
    for name, function in verbs:
        blocks += [f"### {name}", f"```text\n{signature(name, function)}\n```", *paragraphs(function.__doc__)]
        blocks += ["\n".join(f"- Raises {code(error)}: {when}" for error, when in raises(function.__doc__))]
    blocks += ["## Types"]
    for name, found in types:
        blocks += [f"### {name}", *paragraphs(found.__doc__)]
        rows = [(code(n), sentence(inspect.getdoc(v))) for n, v in _members(found)]
        blocks += [table(("member", "what it is"), rows)]
    return page("Python", PYTHON, blocks)


def signature(name: str, function: Callable[..., object]) -> str:
    """``name(parameters) -> returned`` with short names of types, on several lines where one is too long."""
    found = inspect.signature(function)
    parts: list[str] = []
    starred = False
    for parameter in found.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            parts, starred = [*parts, "*"], True
        # A function prints as its address, which differs from process to process.
        value = "…" if callable(parameter.default) else repr(parameter.default)
        given = "" if parameter.default is parameter.empty else f" = {value}"
        positional = parameter.kind is parameter.VAR_POSITIONAL
        stars = "*" if positional else "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        parts.append(f"{stars}{parameter.name}: {_short(parameter.annotation)}{given}")
    end = f" -> {returned(function)}"
    line = f"{name}({', '.join(parts)}){end}"
    if len(line) <= _LINE:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){end}"


def returned(function: Callable[..., object]) -> str:
    """The type that a function returns."""
    return _short(inspect.signature(function).return_annotation)


def _short(annotation: object) -> str:
    """An annotation without the modules of its names."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", text)


def _members(found: type) -> list[tuple[str, object]]:
    """Public methods and properties that the class itself defines and documents."""
    members = []
    for name, value in vars(found).items():
        told = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if not name.startswith(("_", "model_")) and (callable(told) or isinstance(told, property)) and told.__doc__:
            members.append((name, told))
    return members
