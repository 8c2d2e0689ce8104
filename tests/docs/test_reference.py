"""The reference is what the code says, and says it in words."""

import json
from collections.abc import Mapping
from typing import Annotated, Literal

import pytest
from kistack_docs import __main__ as command
from kistack_docs import pages
from kistack_docs.commands import flags, tree
from kistack_docs.errors import signature
from kistack_docs.files import example_plan, scenario_keys
from kistack_docs.papers import cited_numbers
from kistack_docs.stages import repository_host
from kistack_docs.text import cell, code, paragraphs, raises, table
from kistack_docs.types import bounds, default, describe, words, written
from pydantic import BaseModel, Field

from kistack.domain.fields import Bytes, Seconds
from kistack.domain.planfile import load_plan
from kistack.plugins import hookspecs


def test_every_page_is_what_the_code_says_today():
    stale = [str(p.relative_to(pages.ROOT)) for p in pages.differing()]
    assert stale == [], "write them again: make reference"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A copy of one page and one schema, to be changed."""
    texts = {tmp_path / "reference" / "a.md": "a\n", tmp_path / "reference" / "schemas" / "b.json": "{}\n"}
    monkeypatch.setattr(pages, "generated", lambda: texts)
    monkeypatch.setattr(pages, "SCHEMAS", tmp_path / "reference" / "schemas")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    return texts


def test_check_names_what_differs_and_writes_nothing(elsewhere, capsys):
    assert command.main(["--check"]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == ["reference/a.md", "reference/schemas/b.json"]
    assert "make reference" in said.err
    assert not any(path.exists() for path in elsewhere)


def test_what_differs_is_written_and_a_schema_of_nothing_goes(elsewhere, capsys):
    assert command.main([]) == 0
    gone = pages.SCHEMAS / "old.json"
    gone.write_text("{}")
    [first, _] = elsewhere
    first.write_text("edited by hand\n")
    assert command.main(["--check"]) == 1
    assert command.main([]) == 0
    assert command.main(["--check"]) == 0
    assert not gone.exists()
    assert first.read_text() == "a\n"
    assert command.main(["--what"]) == 2
    capsys.readouterr()


def test_every_command_and_every_visible_flag_is_told():
    text = pages.generated()[pages.REFERENCE / "commands.md"]
    sections = dict(part.split("\n", 1) for part in text.split("\n## ")[1:])
    assert len(tree()) > 20
    for name, found in tree().items():
        for flag in flags(found) - {"-h", "--help"}:
            assert f"`{flag}`" in sections[name], f"{name} {flag}"
    assert "--run-id" not in text  # hidden


def test_every_hook_is_told_with_its_arguments():
    text = pages.generated()[pages.REFERENCE / "hooks.md"]
    hooks = [n for n in vars(hookspecs) if n.startswith("kistack_")]
    assert all(f"### {name}\n" in text for name in hooks)
    assert "kistack_step_failed(run: str, use: str, key: str, error: str) -> None" in text


def test_every_setting_of_every_stage_is_told_with_its_description():
    text = pages.generated()[pages.REFERENCE / "stages.md"]
    sections = dict(part.split("\n", 1) for part in text.split("\n## ")[1:])
    stages = repository_host().stages
    assert {"retrieve/llamaindex", "tune/lora", "quantize/gguf", "evaluate/judge"} <= set(stages)
    for name, entry in stages.items():
        for field, info in entry.stage.Settings.model_fields.items():
            assert f"| `{field}`" in sections[name], f"{name}.{field}"
            assert cell(info.description) in sections[name], f"{name}.{field}"


def test_keys_of_the_scenario_are_told_with_their_place():
    assert {"limits.memory", "knowledge.corpus.erasable", "serve_on.preset", "models.base"} <= scenario_keys()
    assert "limits.memroy" not in scenario_keys()


def test_the_plan_that_the_page_shows_is_read(tmp_path):
    (tmp_path / "plan.yaml").write_text(example_plan())
    plan = load_plan(tmp_path / "plan.yaml")
    assert [s.use for s in plan.steps] == ["tune/lora", "retrieve/llamaindex", "distill/response", "quantize/gguf"]


def test_schemas_are_json_and_refuse_unknown_keys_where_the_code_does():
    texts = {p.name: json.loads(t) for p, t in pages.generated().items() if p.suffix == ".json"}
    assert texts["plan.json"]["additionalProperties"] is False
    assert set(texts["plan.json"]["$defs"]["Step"]["properties"]) == {"use", "with", "from", "as", "select"}
    assert "plan" in texts["record.json"]["required"]


def test_every_paper_that_is_cited_is_in_the_index():
    text = pages.generated()[pages.DOCS / "papers.md"]
    assert len(cited_numbers()) > 40
    assert all(f"https://arxiv.org/abs/{number}" in text for number in cited_numbers())
    assert "**arXiv:" not in text  # each has a title, or what the data call it


class _Sample(BaseModel):
    memory: Bytes | None = None
    wait: Seconds = Field(90.0, gt=0)
    epochs: Annotated[int, Field(ge=1, le=9)] | Literal["auto"] = "auto"
    names: tuple[str, ...] = ("a", "b")
    by_name: Mapping[str, float] = Field(default_factory=dict)
    on: bool = False
    needed: str


@pytest.mark.parametrize(
    ("field", "type_", "value"),
    [
        ("memory", "size", ""),
        ("wait", "duration, > 0", "`1min30s`"),
        ("epochs", "whole number, ≥ 1, ≤ 9 or `auto`", "`auto`"),
        ("names", "list of: text", "`[a, b]`"),
        ("by_name", "mapping to: number", ""),
        ("on", "yes or no", "`no`"),
        ("needed", "text", "needed"),
    ],
)
def test_types_and_defaults_are_told_in_words(field, type_, value):
    info = _Sample.model_fields[field]
    assert describe(info) == type_
    assert default(info) == value


def test_fixed_rows_numbers_and_bounds_of_text():
    assert words(tuple[float, float]) == "(number, number)"
    assert written(2.0) == "`2`"
    assert written(0.25) == "`0.25`"
    assert bounds(_Sample.model_fields["wait"].metadata) == "> 0"


def test_tables_keep_to_one_line_a_row_and_lose_empty_columns():
    assert table(("a", "b", "c"), [("1", "", "x|y\nz"), ("2", "", "")]) == (
        "| a | c |\n| --- | --- |\n| 1 | x\\|y z |\n| 2 |  |"
    )
    assert table(("a",), []) == ""
    assert code("a`b") == "`` a`b ``"


def test_docstrings_lose_their_sections_and_tell_what_they_raise():
    told = """Do it with ``x``.

    More.

    Args:
        x: it.

    Raises:
        InputError: it is not there,
            or not readable.
        StoreError: the disk is full.

    """
    assert paragraphs(told) == ["Do it with `x`.", "More."]
    assert raises(told) == [("InputError", "it is not there, or not readable."), ("StoreError", "the disk is full.")]


def test_signatures_show_defaults_and_break_where_they_are_long():
    def short(a: int, *, b: "str" = "x") -> None: ...

    def long(first_argument: int, second_argument: "Mapping[str, float]", third_argument: str = "third") -> str: ...

    assert signature("short", short) == "short(a: int, *, b: str = 'x') -> None"
    assert signature("long", long).splitlines()[0] == "long("
    assert signature("long", long).splitlines()[-1] == ") -> str"
