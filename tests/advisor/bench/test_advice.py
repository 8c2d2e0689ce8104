import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kistack.advisor.bench.advice import HABITS, bench_advice, judge, shipped_rules, without_paper
from kistack.advisor.bench.comparisons import Comparison, read_comparisons
from kistack.advisor.bench.options import read_option, without
from kistack.advisor.effects import cites, effect_table
from kistack.errors import InputError, InvalidInput

NOTHING = {"retrieve": "off", "tune": "none", "distill": "none", "quantize": "none"}


def option(name, value, **levers):
    return {"id": name, "levers": {**NOTHING, **levers}, "value": value}


#: Made for these tests, in the form of published comparisons; no paper is meant.
ROWS = [
    {
        "id": "rare-facts-small-reader",
        "paper": "Nobody 2401.00001",
        "facts": {
            "task": "facts",
            "base_knows": 0.05,
            "corpus": {"tokens": None},
            "pairs": {"labelled": 500, "form": "qa_with_passages"},
            "base": {"params_b": 0.3, "kind": "decoder"},
        },
        "metric": {"name": "accuracy", "better": "higher"},
        "options": [
            option("nothing", 5),
            option("tuned", 9, tune="lora", tune_data="qa"),
            option("found", 45, retrieve="always"),
            option("both", 70, retrieve="always", tune="lora", tune_data="qa_with_passages"),
        ],
        "recommend": ["both"],
        "avoid": [{"retrieve": "off", "tune": "lora"}],
    },
    {
        "id": "tone",
        "paper": "Nobody 2401.00002",
        "facts": {"task": "behaviour", "pairs": {"labelled": 800, "form": "instructions"}, "base": {"params_b": 7}},
        "metric": {"name": "win rate", "better": "higher"},
        "options": [
            option("prompted", 50),
            option("tuned", 80, tune="lora", tune_data="instructions"),
            option("tuned-found", 74, retrieve="always", tune="lora", tune_data="instructions"),
        ],
        "recommend": ["tuned"],
        "avoid": [{"retrieve": "always"}],
    },
    {
        "id": "tight-memory",
        "paper": "Nobody 2401.00003",
        "facts": {"task": "behaviour", "base": {"params_b": 8}, "limits": {"memory_gib": 8.0}},
        "metric": {"name": "perplexity", "better": "lower"},
        "options": [
            option("half", 6.2),
            option("four", 6.4, quantize="int4_weight"),
            option("two", 9.8, quantize="int2_weight"),
        ],
        "recommend": ["four"],
        "avoid": [{"quantize": "none"}, {"quantize": "int2_weight"}],
    },
    {
        "id": "undecided",
        "paper": "Nobody 2401.00004",
        "facts": {"task": "facts"},
        "options": [option("a", 1), option("b", 1)],
        "scorable": False,
    },
]  # fmt: skip


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "comparisons.yaml"
    path.write_text(yaml.safe_dump({"scenarios": ROWS}))
    return path


@pytest.fixture(scope="module")
def rows():
    return tuple(Comparison.model_validate(row) for row in ROWS)


def test_the_document_scores_what_decides_something(file):
    document = bench_advice(read_comparisons(file))
    assert {"schema", "rows", "agreement", "avoid_violations", "lopo_agreement", "regret", "habits", "ablation"} <= set(
        document
    )
    assert [r["id"] for r in document["rows"]] == ["rare-facts-small-reader", "tone", "tight-memory"]
    assert document["unscorable"] == ["undecided"]
    assert [r["chosen"] for r in document["rows"]] == ["both", "tuned", "four"]
    assert (document["agreement"], document["avoid_violations"], document["regret"]) == (1.0, 0, 0.0)
    assert document["habits"]["do nothing"]["offered"] == 3
    assert document["habits"]["always both"]["agree"] == 1
    json.dumps(document)


def test_regret_is_the_way_from_the_best_to_the_worst_and_none_where_it_may_be_first(rows):
    first, _, memory, _ = rows
    by_id = {o.id: o for o in first.options}
    assert first.regret(by_id["both"]) == 0
    assert first.regret(by_id["nothing"]) == 1
    assert first.regret(by_id["found"]) == pytest.approx(25 / 65)
    lower = {o.id: o for o in memory.options}
    assert memory.regret(lower["two"]) == 1
    assert memory.violates(lower["two"])
    assert not memory.violates(lower["four"])


def test_a_comparison_that_cannot_be_expressed_is_a_miss_with_its_reason(rows):
    broken = rows[0].model_copy(
        update={"options": (rows[0].options[0].model_copy(update={"levers": {**NOTHING, "params_b": "many"}}),)}
    )
    found = judge(broken, effect_table(), shipped_rules())
    assert found.chosen is None
    assert not found.agrees
    assert found.regret == 1.0
    assert found.failed


def test_without_a_paper_its_figures_and_the_rules_that_rest_on_it_alone_are_gone(rows):
    rules = shipped_rules()
    paper = "Soudani et al. 2403.01432"
    table, kept = without_paper(paper, rows, effect_table(), rules)
    assert not any(cites(s, paper) for prior in table.priors.values() for s in prior.sources)
    assert table.priors["reading_gain_bare"].value != effect_table().priors["reading_gain_bare"].value
    gone = {r.id for r in rules} - {r.id for r in kept}
    assert "large-readers-read-already" in gone
    assert {r.id for r in rules if not any(cites(s, paper) for s in r.sources)} <= {r.id for r in kept}


def test_no_rule_or_effect_names_a_model_that_decides(rows):
    conditions = " ".join(rule.when.text for rule in shipped_rules())
    for name in ("llama", "mistral", "qwen", "gpt", "popqa", "mmlu", "pythia"):
        assert name not in conditions.lower()


def test_what_is_unknown_is_left_out(rows):
    assert without(rows[0], "base_knows").facts.base_knows is None
    assert without(rows[0], "base.params_b").facts.base.params_b is None
    assert without(rows[0], "limits").facts.limits.memory_gib is None
    assert without(rows[0], "teacher.params_b") == rows[0]


levers = st.fixed_dictionaries(
    {
        "retrieve": st.sampled_from(["off", "always", "gated", "long_context"]),
        "tune": st.sampled_from(
            ["none", "lora", "qlora", "full", "full_cpt", "prefix", "partial", "ia3", "rl", "pretrain"]
        ),
        "tune_data": st.sampled_from([None, "qa", "qa_with_passages", "raw_text", "instructions", "labels"]),
        "distill": st.sampled_from(
            ["none", "response", "feature", "relation", "sequence", "sequence_rationale", "on_policy"]
        ),
        "quantize": st.sampled_from(
            [
                "none",
                "fp8",
                "int8_dynamic",
                "int8_static",
                "int8_weight",
                "int6_weight",
                "int2_weight",
                "qat_int4_weight",
            ]
        ),
        "params_b": st.sampled_from([None, 0.1, 7, 175]),
    }
)


@settings(max_examples=60)
@given(st.lists(levers, min_size=1, max_size=4), st.sampled_from([0, 1, 2]))
def test_every_combination_of_levers_is_expressed_and_ranked(tried, number):
    options = tuple({"id": str(n), "levers": v, "value": n} for n, v in enumerate(tried))
    row = Comparison.model_validate({**ROWS[number], "options": options})
    found = judge(row, effect_table(), shipped_rules())
    assert sorted(found.order) == sorted(o.id for o in row.options), found.failed
    for option_ in row.options:
        read = read_option(row, option_, effect_table())
        assert read.features.params > 0
        assert 0 < read.bits <= 16


def test_habits_are_told_apart_by_their_levers():
    assert HABITS["always retrieve"]({**NOTHING, "retrieve": "always"})
    assert not HABITS["always retrieve"]({**NOTHING, "retrieve": "always", "tune": "lora"})
    assert HABITS["do nothing"]({**NOTHING, "retrieve": "long_context"})
    assert HABITS["always int4"]({**NOTHING, "quantize": "int4_weight"})


def test_mistakes_of_a_file_are_told_with_their_lines(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("scenarios:\n- id: a\n  paper: p\n  facts: {task: cooking}\n  options: []\n")
    with pytest.raises(InvalidInput, match=r"bad\.yaml:4"):
        read_comparisons(path)
    for text, hint in (
        ("name: x\n", "scenarios: the comparisons, each with"),
        ("scenarios: 3\n", "scenarios: the comparisons, each with"),
        ("scenarios: []\n", "scenarios: the comparisons, each with"),
        ("scenarios: [{a: 1}]\n", "options: what was compared"),
    ):
        path.write_text(text)
        with pytest.raises(InvalidInput) as caught:
            read_comparisons(path)
        assert hint in caught.value.hint
        assert "uple" not in str(caught.value)
    with pytest.raises(InputError):
        read_comparisons(Path(tmp_path / "none.yaml"))
