"""The pages of policies: which there are, and what checking them came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kistack.advisor.policies import Policy, Rule
from kistack.advisor.policy_check import Finding, PolicyCheck
from kistack.advisor.witnesses import Witness
from kistack.reporting.blocks import Block, Bullets, Heading, Page, Paragraph, Table

SCHEMA = 1


def policies_page(policies: Sequence[Policy]) -> Page:
    """Every policy with its summary, number of rules and file."""
    rows = tuple((p.name, str(len(p.rules)), p.summary, str(p.path)) for p in policies)
    use = "A scenario names those it uses: policies: [default, edge-device]. Any YAML file of rules may be named too."
    return [Heading("Policies", 1), Table(("policy", "rules", "for", "file"), rows, frozenset({1})), Paragraph(use)]


def policies_document(policies: Sequence[Policy]) -> dict[str, Any]:
    """The same for programs, with every rule."""
    return {
        "schema": SCHEMA,
        "policies": [
            {"name": p.name, "summary": p.summary, "where": str(p.path), "rules": [_rule(r) for r in p.rules]}
            for p in policies
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "where": rule.where,
        "when": rule.when.text,
        "strength": rule.strength,
        "techniques": list(rule.techniques),
        "points": rule.points,
        "because": rule.because,
        "sources": list(rule.sources),
    }


def policy_check_page(check: PolicyCheck) -> Page:
    """What is wrong with each rule that is, and a count of those that can fire."""
    total = len(check.findings)
    firing = sum(f.outcome == "can fire" for f in check.findings)
    page: list[Block] = [Heading("Policies checked", 1), Paragraph(f"{firing} of {total} rules can fire.")]
    for outcome, title in (("cannot fire", "Cannot fire"), ("not shown to fire", "Not shown to fire")):
        told = tuple(f"{_named(f.rule)}: {f.why}" for f in check.findings if f.outcome == outcome)
        if told:
            page += [Heading(title), Bullets(told)]
    if odd := tuple(line for f in check.findings for line in _strangers(f)):
        page += [Heading("Facts that no profile has"), Bullets(odd)]
    if check.contradictions:
        told = tuple(
            f"{_named(c.first)} and {_named(c.second)}: {c.why}; both hold {_case(c.witness)}"
            for c in check.contradictions
        )
        page += [Heading("Contradictions"), Bullets(told)]
    return page


def _named(rule: Rule) -> str:
    return f"{rule.id} ({rule.where})"


def _strangers(finding: Finding) -> list[str]:
    return [
        f"{_named(finding.rule)}: {name}" + (f"; did you mean {near}?" if near else "")
        for name, near in finding.strangers
    ]


def _case(witness: Witness) -> str:
    """A witness in words: its facts, and what its candidate does."""
    facts = ", ".join(f"{name} = {_value(value)}" for name, value in witness.facts.items())
    doing = "+".join(witness.candidate["techniques"]) or "nothing"
    return f"for {doing}" + (f" where {facts}" if facts else "")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else repr(value)


def policy_check_document(check: PolicyCheck) -> dict[str, Any]:
    """The same for programs, with the witness of every rule that can fire and of every contradiction."""
    return {
        "schema": SCHEMA,
        "sound": check.sound,
        "rules": [
            {
                "id": f.rule.id,
                "policy": f.rule.policy,
                "where": f.rule.where,
                "verdict": f.outcome,
                "why": f.why,
                "questions": f.questions,
                "unknown_facts": dict(f.strangers),
                "witness": _witness(f.witness),
            }
            for f in check.findings
        ],
        "contradictions": [
            {"rules": [c.first.id, c.second.id], "where": [c.first.where, c.second.where], "why": c.why,
             "witness": _witness(c.witness)}
            for c in check.contradictions
        ],
    }  # fmt: skip


def _witness(witness: Witness | None) -> Mapping[str, Any] | None:
    return None if witness is None else {"facts": dict(witness.facts), "candidate": dict(witness.candidate)}
