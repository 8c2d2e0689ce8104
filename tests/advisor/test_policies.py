import re
import textwrap

import pytest

from kistack.advisor.conditions import Judge, condition
from kistack.advisor.policies import load_policies, policies_folder, policy_paths
from kistack.errors import InputError, InvalidInput
from kistack.plugins.stages import TECHNIQUES

RULE = """
      - id: {id}
        when: {when}
        strength: {strength}
        techniques: {techniques}
        because: a sentence that says why
"""


@pytest.fixture
def write(tmp_path):
    def writing(text, name="mine.yaml"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return path

    return writing


@pytest.fixture(scope="module")
def shipped():
    return load_policies(policy_paths(["default"]))


def test_the_shipped_policy_is_whole(shipped):
    assert len(shipped) >= 15
    assert len({r.id for r in shipped}) == len(shipped)
    for rule in shipped:
        assert rule.sources or rule.strength == "notes", rule.id
        assert not rule.because[0].isupper(), rule.id
        assert rule.where.startswith("default.yaml:")
    assert {r.strength for r in shipped} >= {"prefers", "avoids", "forbids", "notes"}


def test_shipped_conditions_never_name_a_model_or_data_set(shipped):
    names = re.compile(
        r"llama|qwen|gpt|mistral|smollm|popqa|squad|mmlu|pubmed|flan|t5|bert|gemini|claude", re.IGNORECASE
    )
    for rule in shipped:
        assert not names.search(rule.when.text), rule.id


def test_points_take_the_sign_of_their_strength(shipped):
    for rule in shipped:
        assert rule.points >= 0 or rule.strength == "avoids"
        assert rule.points <= 0 or rule.strength == "prefers"
    assert any(r.points < 0 for r in shipped)


def test_a_rule_is_read(write):
    (rule,) = load_policies(
        [
            write("""
            schema: 1
            name: house
            rules:
              - id: four-bits
                when: candidate.bits < 5.0
                strength: avoids
                techniques: [quantize, tune+retrieve, quantize/gguf*]
                points: 3
                because: our answers are long numbers
                sources: [measured here]
            """)
        ]
    )
    assert (rule.policy, rule.where, rule.points) == ("house", "mine.yaml:5", -3)
    assert rule.concerns(["quantize"], ["quantize/other"])
    assert rule.concerns(["retrieve", "tune"], ["retrieve/a", "tune/b"])
    assert not rule.concerns(["tune"], ["tune/b"])
    assert not rule.concerns([], [])


@pytest.mark.parametrize(
    ("entry", "stages", "concerned"),
    [
        ("nothing", [], True),
        ("nothing", ["tune/a"], False),
        ("tune/lor*", ["tune/lora"], True),
        ("tune/lor*", ["tune/full"], False),
        ("retrieve+tune/lora", ["retrieve/x", "tune/lora"], True),
        ("retrieve+tune/lora", ["tune/lora"], False),
        ("prune/*", ["prune/heads"], True),
    ],
)
def test_techniques_may_be_joined_or_name_stages(write, entry, stages, concerned):
    text = "name: x\nrules:\n" + RULE.format(id="one", when="''", strength="prefers", techniques=f"['{entry}']")
    (rule,) = load_policies([write(text)])
    assert rule.concerns([s.partition("/")[0] for s in stages], stages) is concerned


def test_every_mistake_of_every_file_with_its_line(write):
    first = write(
        """
        name: one
        rules:
          - id: typo-in-condition
            when: pair.train > 3
            strength: prefers
            techniques: [tune]
            because: a sentence that says why
          - id: Shouting
            when: pairs.train >
            strength: prefer
            techniques: [retreive]
            because: short
          - id: no-techniques
            strength: forbids
            because: a sentence that says why
          - id: points-in-vain
            strength: forbids
            techniques: [tune]
            points: 3
            because: a sentence that says why
        """,
        "one.yaml",
    )
    second = write("name: two\nrulez: []\n", "two.yaml")
    third = write("name: three\nrules: [\n", "three.yaml")
    with pytest.raises(InvalidInput) as caught:
        load_policies([first, second, third])
    told = [(p.where, p.message) for p in caught.value.problems]
    for where, part in [
        ("one.yaml:5", "'pair'"),
        ("one.yaml:9", "Shouting"),
        ("one.yaml:10", "does not parse"),
        ("one.yaml:11", "prefer"),
        ("one.yaml:12", "retreive"),
        ("one.yaml:13", "short"),
        ("one.yaml:14", "needs techniques"),
        ("one.yaml:17", "moves no points"),
        ("two.yaml:2", "rulez"),
        ("two.yaml:1", "rules"),
        ("three.yaml", "not YAML"),
    ]:
        assert any(w.startswith(where) and part in m for w, m in told), (where, part, told)
    assert caught.value.exit_code == 2
    assert "did you mean 'retrieve'" in caught.value.hint


def test_ids_are_unique_over_all_files(write):
    text = "name: x\nrules:\n" + RULE.format(id="same", when="''", strength="prefers", techniques="[tune]")
    with pytest.raises(InvalidInput, match=r"b.yaml:4: rule 'same' stands also at a.yaml:4"):
        load_policies([write(text, "a.yaml"), write(text, "b.yaml")])


def test_policies_by_name_path_and_plugin(tmp_path):
    mine = tmp_path / "mine.yaml"
    default = policies_folder() / "default.yaml"
    assert policy_paths(["default", str(mine), "default"], [mine]) == [default, mine]
    with pytest.raises(InputError, match="defualt") as caught:
        policy_paths(["defualt"])
    assert "did you mean 'default'" in caught.value.hint
    with pytest.raises(InputError):
        load_policies([mine])


def test_tags_that_build_objects_are_refused(write):
    with pytest.raises(InvalidInput, match="tag"):
        load_policies([write("name: !!python/object:os.system x\nrules: []\n")])


# --- every shipped rule has a situation that fires it and one that does not

PLAIN = {"techniques": [], "stages": [], "settings": {}, "bits": 16.0, "passages": 0.0, "student_ratio": 1.0,
         "trains_on": [], "trained_with_passages": False}  # fmt: skip
BOTH = {**PLAIN, "techniques": ["retrieve", "tune"], "passages": 3.0, "trains_on": ["corpus", "pairs"]}
TUNED = {**PLAIN, "techniques": ["tune"], "trains_on": ["pairs"]}
SITUATIONS = {
    "missing-facts-are-looked-up": [({}, PLAIN, True), ({"corpus__documents": 0}, PLAIN, False)],
    "changing-facts-need-an-index": [({}, PLAIN, True), ({"freshness__changed_per_day": 1e-5}, PLAIN, False)],
    "facts-in-weights-go-stale": [({}, TUNED, True), ({}, BOTH, False)],
    "daily-change-refreshes-the-index-only": [({"freshness__changed_per_day": 0.05}, PLAIN, True), ({}, PLAIN, False)],
    "training-on-unknown-facts-misleads": [({}, TUNED, True), ({"scenario__task": "behaviour"}, TUNED, False)],
    "corpus-fits-the-prompt": [({"corpus__tokens": 4000}, PLAIN, True), ({}, PLAIN, False)],
    "base-knows-it-already": [({"probe__closed_book": 0.8}, PLAIN, True), ({}, PLAIN, False)],
    "a-lookup-would-do": [
        ({"pairs__question_words": 8.0}, PLAIN, True),
        ({"pairs__question_words": 8.0, "pairs__answer_words": 20.0}, PLAIN, False),
        ({"pairs__question_words": 8.0, "pairs__answers_in_corpus": 0.5}, PLAIN, False),
        ({"pairs__question_words": 30.0}, PLAIN, False),
    ],
    "pairs-teach-small-readers-to-read": [({}, PLAIN, True), ({"model": "7b"}, PLAIN, False)],
    "large-readers-read-already": [({"model": "7b"}, PLAIN, True), ({}, PLAIN, False)],
    "train-on-what-will-be-read": [({}, BOTH, True), ({}, {**BOTH, "trained_with_passages": True}, False)],
    "behaviour-is-learnt-from-pairs": [({"scenario__task": "both"}, PLAIN, True), ({}, PLAIN, False)],
    "passages-disturb-learnt-behaviour": [({"scenario__task": "behaviour"}, PLAIN, True), ({}, PLAIN, False)],
    "too-few-pairs-to-train-on": [({"pairs__train": 5}, TUNED, True), ({"pairs__train": 5}, PLAIN, False)],
    "few-pairs-overfit": [({"pairs__train": 30}, TUNED, True), ({}, TUNED, False)],
    "few-pairs-make-a-prompt": [({"pairs__train": 30}, PLAIN, True), ({}, PLAIN, False)],
    "no-pairs-no-training": [({"pairs__train": None}, PLAIN, True), ({}, PLAIN, False)],
    "distil-from-a-larger-teacher": [
        ({"teacher__params": 1e9, "pairs__train": 900}, PLAIN, True),
        ({"teacher__params": 1e8, "pairs__train": 900}, PLAIN, False),
    ],
    "no-larger-teacher-no-gain": [({}, PLAIN, True), ({"teacher__params": 1e9}, PLAIN, False)],
    "shrink-only-under-a-limit": [
        ({}, {**PLAIN, "student_ratio": 0.5}, True),
        ({"scenario__limit_latency": 1.0}, {**PLAIN, "student_ratio": 0.5}, False),
    ],
    "limits-ask-for-a-smaller-model": [
        ({"scenario__limit_memory": 1e8}, PLAIN, True),
        ({"scenario__limit_memory": 1e9}, PLAIN, False),
    ],
    "teacher-licence-bars-distillation": [
        ({"teacher__licence": "CC-BY-NC-4.0"}, PLAIN, True),
        ({"teacher__licence": "Apache-2.0"}, PLAIN, False),
    ],
    "eight-bits-are-nearly-free": [({}, {**PLAIN, "bits": 8.5}, True), ({}, PLAIN, False)],
    "small-models-lose-more-at-four-bits": [
        ({}, {**PLAIN, "bits": 4.5}, True),
        ({"model": "7b"}, {**PLAIN, "bits": 4.5}, False),
    ],
    "below-three-bits-models-break": [({}, {**PLAIN, "bits": 2.6}, True), ({}, {**PLAIN, "bits": 4.5}, False)],
    "tight-memory-asks-for-fewer-bits": [({"serving__ram_free": 5e8}, PLAIN, True), ({}, PLAIN, False)],
    "cpu-decoding-is-bound-by-bytes": [({}, PLAIN, True), ({"serve": "gpu"}, PLAIN, False)],
    "small-models-on-gpus-are-bound-by-overhead": [({"serve": "gpu"}, PLAIN, True), ({}, PLAIN, False)],
    "private-documents-stay-out-of-weights": [
        ({"scenario__erasable": True}, TUNED, True),
        ({"scenario__erasable": True, "pairs__answers_in_corpus": 0.0}, TUNED, False),
    ],
    "access-control-belongs-to-the-index": [({"scenario__per_user_access": True}, PLAIN, True), ({}, PLAIN, False)],
    "pairs-must-not-leak": [({"pairs__leakage": 0.1}, PLAIN, True), ({}, PLAIN, False)],
}


def test_every_shipped_rule_has_situations(shipped):
    assert set(SITUATIONS) == {r.id for r in shipped}


@pytest.mark.parametrize(
    ("rule", "facts", "view", "holds"),
    [(r, facts, view, holds) for r, cases in SITUATIONS.items() for facts, view, holds in cases],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_shipped_rules_fire_where_they_should(shipped, rule, facts, view, holds):
    from advisor.onpaper import profile_of

    when = next(r.when for r in shipped if r.id == rule)
    verdict = Judge(profile_of(**facts)).ask(when, view)
    assert verdict.holds is holds
    assert not verdict.fault


def test_techniques_named_by_shipped_rules_exist(shipped):
    parts = {p for r in shipped for entry in r.techniques for p in entry.split("+")}
    assert parts <= {*TECHNIQUES, "nothing"}
    assert condition("").program is None
