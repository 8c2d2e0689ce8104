"""Every rule of every shipped policy, fired and not fired through the advice itself (situations in ``rules/``)."""

import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from advisor import onpaper

from kistack.advisor.policies import load_policies, policies_folder, policy_paths, read_policies, shipped_policies
from kistack.advisor.recommend import advise
from kistack.domain.artifacts import UNQUANTIZED
from kistack.domain.scenario import Scenario
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.host import load_host
from kistack.plugins.stages import TECHNIQUES, Out, Port, Traits

FOLDER = Path(__file__).with_name("rules")
SITUATIONS = {p.stem: yaml.safe_load(p.read_text(encoding="utf-8")) for p in sorted(FOLDER.glob("*.yaml"))}
CASES = [(policy, rule) for policy, rules in SITUATIONS.items() for rule in rules]


class BareTune(onpaper.PaperTune):
    """Learns from pairs as they are, although the plan retrieves."""

    name = "tune/bare"

    def traits(self, settings):
        found = super().traits(settings)
        return Traits(
            consumes={**found.consumes, "pairs": Port(kind="pairs", hint="name pairs")},
            produces=found.produces,
            before=found.before,
        )


class AwareQuantize(onpaper.PaperQuantize):
    """Trains the weights on pairs while it quantizes them."""

    name = "quantize/aware"

    def traits(self, settings):
        model = Port(kind="model", where={"format": "hf", "precision": UNQUANTIZED}, hint="give it 16-bit weights")
        return Traits(
            consumes={"model": model, "pairs": Port(kind="pairs", hint="name pairs")},
            produces={"model": Out(kind="model", like="model", format="gguf", set={"precision": settings.kind})},
        )


STAGES = {
    "retrieve": onpaper.PaperRetrieve,
    "distill": onpaper.PaperDistill,
    "tune": onpaper.PaperTune,
    "tune/bare": BareTune,
    "quantize": onpaper.PaperQuantize,
    "quantize/aware": AwareQuantize,
}


class Suggested:
    """The stages of one plan, each with the settings that the plan gives it."""

    def __init__(self, plan):
        self.stages = {name: self.stage(STAGES[name], settings) for name, settings in plan.items()}

    @staticmethod
    def stage(base, settings):
        def suggest(self, profile, inputs):
            return [self.Settings(**settings)]

        return type(base.__name__, (base,), {"suggest": suggest, "__module__": base.__module__})

    def of(self, technique):
        return [s for name, s in self.stages.items() if name.partition("/")[0] == technique]

    @hookimpl
    def kistack_register_sources(self):
        return [onpaper.PaperSource]

    @hookimpl
    def kistack_register_retrievers(self):
        return self.of("retrieve")

    @hookimpl
    def kistack_register_distillers(self):
        return self.of("distill")

    @hookimpl
    def kistack_register_tuners(self):
        return self.of("tune")

    @hookimpl
    def kistack_register_quantizers(self):
        return self.of("quantize")

    @hookimpl
    def kistack_register_stages(self):
        return [onpaper.PaperMerge]

    @hookimpl
    def kistack_register_runtimes(self):
        return [onpaper.PaperEager, onpaper.PaperGguf]


@cache
def rules():
    found = read_policies(policy_paths(shipped_policies()))
    return {policy.name: {r.id: r for r in policy.rules} for policy in found}


def advised(policy, situation):
    """The advice for one situation, and its candidate that has all of the plan."""
    plan = situation.get("plan", {})
    host = load_host(entry_points=False, extra={"case": Suggested(plan)}, disabled=(), strict=True)
    names = dict.fromkeys(["default", policy])
    scenario = Scenario(name="paper", models={"base": "paper:135m"}, policies=list(names))
    shapes = {k: situation[k] for k in ("model", "train", "serve") if k in situation}
    facts = {k.replace(".", "__"): v for k, v in situation.get("facts", {}).items()}
    advice = advise(scenario, onpaper.profile_of(**shapes, **facts), host)
    wanted = {name.partition("/")[0] for name in plan}
    (candidate,) = [c for c in advice.candidates if set(c.plan.techniques) == wanted]
    return advice, candidate


def test_every_shipped_rule_has_situations():
    assert set(SITUATIONS) == set(shipped_policies()) == set(rules())
    for policy, found in rules().items():
        assert set(SITUATIONS[policy]) == set(found), policy
        for rule, situations in SITUATIONS[policy].items():
            assert set(situations) == {"fires", "silent"}, rule
            if found[rule].techniques:
                assert "plan" in situations["fires"], rule


@pytest.mark.parametrize(("policy", "name"), CASES)
def test_a_shipped_rule_fires_where_it_should(policy, name):
    rule = rules()[policy][name]
    advice, candidate = advised(policy, SITUATIONS[policy][name]["fires"])
    assert not [n for n in advice.notes if "skipped" in n]
    if not rule.techniques:
        assert rule.because in advice.notes
        return
    (reason,) = [r for r in candidate.reasons if r.rule == name]
    assert (reason.strength, reason.points, reason.because) == (rule.strength, rule.points, rule.because)
    if rule.strength in {"forbids", "requires"}:
        assert f"rule {name}" in [r.limit for r in candidate.rejections]
        assert candidate not in advice.kept


@pytest.mark.parametrize(("policy", "name"), CASES)
def test_a_shipped_rule_is_silent_where_it_should_be(policy, name):
    rule = rules()[policy][name]
    advice, candidate = advised(policy, SITUATIONS[policy][name]["silent"])
    assert rule.because not in advice.notes
    assert name not in [r.rule for r in candidate.reasons]
    assert f"rule {name}" not in [r.limit for r in candidate.rejections]
    # The plan was really judged: no problem of composing hides the rule.
    assert "compose" not in [r.limit for r in candidate.rejections]


@pytest.mark.parametrize("policy", shipped_policies())
def test_a_shipped_policy_is_whole(policy):
    path = policies_folder() / f"{policy}.yaml"
    (found,) = read_policies([path])
    assert found.name == policy
    assert found.summary
    assert policy == "default" or 6 <= len(found.rules) <= 12
    for rule in found.rules:
        assert rule.sources or rule.strength == "notes", rule.id
        assert all(len(s) > 15 for s in rule.sources), rule.id
        assert not rule.because[0].isupper(), rule.id
        assert not rule.because.endswith("."), rule.id
        parts = {p for entry in rule.techniques for p in entry.split("+")}
        assert parts <= {*TECHNIQUES, "nothing"}, rule.id


def test_conditions_of_shipped_rules_never_name_a_model_or_data_set():
    names = re.compile(
        r"llama|qwen|gpt|mistral|gemma|phi-?\d|smollm|popqa|squad|mmlu|pubmed|flan|bert|gemini|claude", re.IGNORECASE
    )
    for rule in load_policies(policy_paths(shipped_policies())):
        assert not names.search(rule.when.text), rule.id


def test_a_policy_beside_default_changes_the_advice():
    situation = {"plan": {"tune": {}, "retrieve": {}}, "facts": {"freshness.changed_per_day": 0.02}}
    plain, _ = advised("default", situation)
    strict, _ = advised("fast-changing", situation)
    assert "tune" in {c.name for c in plain.kept}
    assert {c.name for c in strict.kept} == {"retrieve", "retrieve+tune"}
