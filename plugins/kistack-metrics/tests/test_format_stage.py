import pytest
from kistack_metrics.format_stage import EvaluateFormat, FormatScoring
from pydantic import ValidationError

from kistack.errors import StepFailed

from .conftest import row

SCHEMA = {
    "type": "object",
    "properties": {"version": {"type": "string", "pattern": r"^\d+\.\d+$"}, "stable": {"type": "boolean"}},
    "required": ["version"],
    "additionalProperties": False,
}


def judged(answered, evaluate, texts, **settings):
    rows = [row(n, text=t) for n, t in enumerate(texts)]
    return evaluate(EvaluateFormat(), {"answers": answered(rows)}, FormatScoring(**settings))


def test_answers_are_held_to_a_json_schema(answered, evaluate):
    texts = [
        '{"version": "8.1"}',
        '  {"version": "8.1", "stable": true}\n',
        '{"version": 8.1}',
        '{"stable": true}',
        '{"version": "8.1", "more": 1}',
        "8.1",
        "version 8.1",
        '{"version": "8.1"} and more',
        "NaN",
        "",
        None,
    ]
    scores = judged(answered, evaluate, texts, json_schema=SCHEMA)
    assert scores.items["format_valid"] == [1.0, 1.0] + [0.0] * 9
    assert scores.failed == ["q10"]
    assert evaluate.context.lines[0].startswith("q2: $.version: 8.1 is not of type")


def test_json_in_a_markdown_block_counts_only_where_that_is_allowed(answered, evaluate):
    texts = ['```json\n{"version": "8.1"}\n```', '```\n{"version": "8.1"}\n```', '{"version": "8.1"}']
    assert judged(answered, evaluate, texts, json_schema=SCHEMA).items["format_valid"] == [0.0, 0.0, 1.0]
    assert judged(answered, evaluate, texts, json_schema=SCHEMA, fenced=True).items["format_valid"] == [1.0, 1.0, 1.0]


def test_answers_are_matched_from_end_to_end(answered, evaluate):
    scores = judged(answered, evaluate, ["8.1.29", " 8.1.29 ", "It is 8.1.29", ""], pattern=r"\d+(\.\d+)*")
    assert scores.items["format_valid"] == [1.0, 1.0, 0.0, 0.0]
    assert "does not match" in evaluate.context.lines[0]


def test_both_must_hold(answered, evaluate):
    scores = judged(answered, evaluate, ['{"a":1}', "{}", "[1]"], json_schema={"type": "object"}, pattern=r".*\d.*")
    assert scores.items["format_valid"] == [1.0, 0.0, 0.0]


def test_without_a_form_it_says_what_to_set(answered, evaluate):
    with pytest.raises(StepFailed) as caught:
        evaluate(EvaluateFormat(), {"answers": answered([row(0)])})
    assert "json_schema or pattern" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"pattern": "("}, "not a regular expression"), ({"json_schema": {"type": "thing"}}, "json_schema")],
)
def test_a_form_that_can_judge_nothing_is_refused(settings, said):
    with pytest.raises(ValidationError, match=said):
        FormatScoring(**settings)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "https://example.org/schema.json"}, "refers to 'https://example.org/schema.json'"),
        ({"$ref": "#/$defs/none"}, "refers to '/\\$defs/none'|refers to"),
        ({"pattern": "("}, "no regular expression|json_schema"),
    ],
)
def test_a_schema_that_fails_on_the_way_says_what_is_wrong_and_fetches_nothing(answered, evaluate, schema, said):
    with pytest.raises((StepFailed, ValidationError), match=said):
        judged(answered, evaluate, ['"x"'], json_schema=schema)


def test_it_runs_only_where_a_plan_names_it():
    stage = EvaluateFormat()
    assert stage.traits(FormatScoring()).opt_in
    assert stage.traits(FormatScoring(json_schema={})).packages == ("jsonschema",)
