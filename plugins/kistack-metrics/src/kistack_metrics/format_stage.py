"""``evaluate/format``: whether answers have the form that was asked for."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.errors import StepFailed
from kistack.plugins.stages import Context, Port, Settings, Stage, Traits
from kistack_metrics.common import SCORES, estimate_scoring
from kistack_metrics.reading import read_answers

#: A JSON answer in a Markdown block is taken out of it.
_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n?```\s*", re.DOTALL | re.IGNORECASE)


class FormatScoring(Settings):
    """The form that an answer must have: a JSON schema, a regular expression, or both."""

    json_schema: Mapping[str, Any] | None = Field(
        default=None, description="the JSON schema (draft 2020-12) that an answer, read as JSON, must meet; {} any JSON"
    )
    pattern: str = Field(default="", description="the regular expression that an answer must match from end to end")
    fenced: bool = Field(default=False, description="whether JSON in a Markdown block (```json) is taken out of it")

    @model_validator(mode="after")
    def _usable(self) -> Self:
        """A schema or pattern that can judge nothing is refused when it is read."""
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern: not a regular expression ({error})") from error
        if self.json_schema is not None:
            from jsonschema import Draft202012Validator
            from jsonschema.exceptions import SchemaError

            try:
                Draft202012Validator.check_schema(self.json_schema)
            except SchemaError as error:
                raise ValueError(f"json_schema: {error.message}") from error
        return self


class EvaluateFormat(Stage):
    """Share of answers that have the form asked for."""

    name = "evaluate/format"
    summary = "share of answers that meet a JSON schema or match a regular expression"
    libraries = ("jsonschema", "numpy")
    Settings = FormatScoring

    def traits(self, settings: FormatScoring) -> Traits:
        """Runs where a plan names it: only the user knows the form."""
        return Traits(
            consumes={"answers": Port(kind="answers", where={"format": "jsonl"}, hint="answer the held-out questions")},
            produces={"scores": SCORES},
            metrics=("format_valid",),
            packages=("jsonschema",) if settings.json_schema is not None else (),
            opt_in=True,
        )

    def estimate(self, settings: FormatScoring, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Reading the answers."""
        return estimate_scoring(inputs["answers"], 1, 5e-4, 0.5, 65e6)

    def run(self, settings: FormatScoring, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Judge every answer; the reasons of the first few are in the log.

        Raises:
            StepFailed: neither a schema nor a pattern is set.
        """
        from kistack.evaluation.scoring import Scores

        fault = _judge(settings)
        answers = read_answers(ctx.input("answers").path)
        scores = Scores(failed=[a.id for a in answers if a.text is None])
        found = {a.id: "no answer came" if a.text is None else fault(a.text) for a in answers}
        wrong = {ident: why for ident, why in found.items() if why}
        for ident, why in list(wrong.items())[:5]:
            ctx.log(f"{ident}: {why}")
        scores.add_mean("format_valid", [math.nan if a.text is None else float(not found[a.id]) for a in answers])
        return {"scores": {"bytes": scores.write(ctx.out("scores")), "count": len(answers)}}


def _judge(settings: FormatScoring) -> Callable[[str], str]:
    """What says why a text does not have the form; empty if it has."""
    if settings.json_schema is None and not settings.pattern:
        raise StepFailed(
            "evaluate/format knows no form to check",
            "set json_schema or pattern: evaluate: [defaults, {use: evaluate/format, with: {pattern: '…'}}]",
        )
    pattern = re.compile(settings.pattern) if settings.pattern else None
    check = _schema_check(settings)

    def fault(text: str) -> str:
        stripped = text.strip()
        if pattern is not None and pattern.fullmatch(stripped) is None:
            return f"does not match {settings.pattern!r}"
        return check(stripped)

    return fault


def _schema_check(settings: FormatScoring) -> Callable[[str], str]:
    if settings.json_schema is None:
        return lambda _: ""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    # A registry of nothing: a schema that refers elsewhere must not make this step fetch it.
    validator = Draft202012Validator(settings.json_schema, registry=Registry())

    def check(text: str) -> str:
        fenced = _FENCED.fullmatch(text) if settings.fenced else None
        try:
            document = json.loads(fenced[1] if fenced else text, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            return f"not JSON ({error})"
        try:
            worst = best_match(validator.iter_errors(document))
        except Unresolvable as error:
            raise StepFailed(
                f"evaluate/format: json_schema refers to {error.ref!r}, which is not in it", "put it under $defs"
            ) from error
        except re.error as error:
            raise StepFailed(
                f"evaluate/format: a pattern in json_schema is no regular expression ({error})", "correct it"
            ) from error
        return "" if worst is None else f"{worst.json_path}: {worst.message}"

    return check


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
