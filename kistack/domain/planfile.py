"""Plans as YAML files: reading, and writing so that the reading is the identity."""

from __future__ import annotations

from pathlib import Path

import yaml

from kistack.domain.plan import Plan
from kistack.domain.yamlfile import load_yaml, validate
from kistack.errors import InputError, PlanError, Problem

_LINE_MARKS = ("\x85", "\u2028", "\u2029", "\ufeff")


class _Dumper(yaml.SafeDumper):
    """Plain YAML: shared values are written out instead of becoming anchors and aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def load_plan(path: Path) -> Plan:
    """The plan in a YAML file.

    Raises:
        InputError: the file cannot be read.
        PlanError: all problems of the file, each with its line.

    """
    data, positions = load_yaml(path, error=PlanError, collect=True)
    if isinstance(data, dict) and data.keys() >= {"name", "models"} and "steps" not in data:
        raise InputError(f"{path} is a scenario, not a plan", "write a plan first: kistack advise -o plan.yaml")
    return validate(Plan, data, positions, error=PlanError)


def _dumped(plan: Plan, *, readable: bool) -> str:
    return yaml.dump(plan.to_dict(), Dumper=_Dumper, sort_keys=False, allow_unicode=readable, width=100)


def dump_plan(plan: Plan) -> str:
    """YAML text that ``load_plan`` reads back as an equal plan.

    Raises:
        PlanError: a setting is no plain value (text, number, boolean, date, list or mapping of these).

    """
    try:
        text = _dumped(plan, readable=True)
        # PyYAML leaves these as they are, and reads them back as spaces or nothing.
        return _dumped(plan, readable=False) if any(mark in text for mark in _LINE_MARKS) else text
    except yaml.representer.RepresenterError as error:
        value = error.args[1] if len(error.args) > 1 else plan
        problem = Problem("plan", f"the setting value {value!r} cannot be written as YAML", "use plain values")
        raise PlanError("plan", [problem]) from error
