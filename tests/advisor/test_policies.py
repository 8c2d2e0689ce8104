import re
import textwrap

import pytest
from advisor.onpaper import profile_of

from kistack.advisor.conditions import Judge, condition
from kistack.advisor.policies import load_policies, policies_folder, policy_paths, read_policies, shipped_policies
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


@pytest.mark.parametrize(
    ("facts", "bars"),
    [
        ({"teacher__licence": "CC-BY-NC-4.0"}, True),
        ({"teacher__licence": "proprietary"}, True),
        ({"teacher__licence": "Apache-2.0"}, False),
        ({"teacher__licence": "Apache-2.0", "teacher__bars_training": True}, True),
        ({"teacher__licence": "CC-BY-NC-4.0", "teacher__bars_training": False}, False),
        ({}, False),
    ],
)
def test_what_the_terms_say_goes_before_words_in_a_licence_s_name(shipped, facts, bars):
    when = next(r.when for r in shipped if r.id == "teacher-licence-bars-distillation")
    verdict = Judge(profile_of(**facts)).ask(when, {})
    assert verdict.holds is bars
    assert not verdict.fault


def test_policies_keep_their_own_rules_and_summaries(write):
    one = write(
        "name: one\nsummary: first\nrules:\n" + RULE.format(id="a", when="''", strength="avoids", techniques="[tune]")
    )
    two = write(
        "name: two\nrules:\n" + RULE.format(id="b", when="''", strength="prefers", techniques="[tune]"), "two.yaml"
    )
    found = read_policies([one, two])
    assert [(p.name, p.summary, p.path, [r.id for r in p.rules]) for p in found] == [
        ("one", "first", one, ["a"]),
        ("two", "", two, ["b"]),
    ]


def test_the_shipped_policies_begin_with_default():
    assert shipped_policies() == ("default", "air-gapped", "edge-device", "fast-changing", "lowest-cost")


def test_techniques_named_by_shipped_rules_exist(shipped):
    parts = {p for r in shipped for entry in r.techniques for p in entry.split("+")}
    assert parts <= {*TECHNIQUES, "nothing"}
    assert condition("").program is None
