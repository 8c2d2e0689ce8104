import json

import pytest
from commanding import commands

SOUND = """\
name: house
rules:
- {id: four-bits, when: candidate.bits < 5.0, strength: avoids, techniques: [quantize], because: our answers are long}
"""


@pytest.fixture
def kistack(monkeypatch, toy_host, tmp_path, capsys):
    """Run a command in an empty folder, for policies need no project; returns code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("kistack.cli.policing.host", lambda: toy_host)

    with commands(capsys) as call:
        yield call


@pytest.fixture
def house(tmp_path):
    path = tmp_path / "house.yaml"
    path.write_text(SOUND)
    return path


def test_list_shows_every_policy(kistack):
    code, text, _ = kistack("policies", "list")
    assert code == 0
    for name in ("default", "edge-device", "air-gapped", "fast-changing", "lowest-cost"):
        assert name in text
    code, text, _ = kistack("policies", "list", "--json")
    found = json.loads(text)["policies"]
    assert found[0]["name"] == "default"
    assert all(p["summary"] and p["rules"] and p["where"].endswith(".yaml") for p in found)


def test_shipped_policies_are_sound_together(kistack):
    code, text, _ = kistack("policies", "check")
    assert code == 0
    document = json.loads(kistack("policies", "check", "--json")[1])
    assert document["sound"] is True
    assert f"{len(document['rules'])} of {len(document['rules'])} rules can fire" in text
    assert len({r["policy"] for r in document["rules"]}) == 5


def test_policies_of_plugins_are_listed_and_checked(kistack, house, monkeypatch, toy_host):
    monkeypatch.setattr(type(toy_host), "policies", lambda self: [house])
    assert json.loads(kistack("policies", "list", "--json")[1])["policies"][-1]["name"] == "house"
    assert json.loads(kistack("policies", "check", "--json")[1])["rules"][-1]["id"] == "four-bits"


def test_names_and_files_are_checked_together(kistack, house):
    code, text, _ = kistack("policies", "check", "default", house, "--json")
    assert code == 0
    assert {r["policy"] for r in json.loads(text)["rules"]} == {"default", "house"}


def test_a_rule_in_vain_or_a_contradiction_ends_with_1(kistack, house):
    house.write_text(SOUND + SOUND.splitlines()[2].replace("four-bits", "dead").replace("< 5.0", "< -5.0") + "\n")
    code, text, error = kistack("policies", "check", house)
    assert (code, error) == (1, "")
    assert "dead (house.yaml:4): candidate.bits < -5.0 never holds" in text
    rule = "- {id: more, strength: prefers, points: 1, techniques: [quantize], because: our machine is small}\n"
    house.write_text(SOUND.replace("avoids,", "avoids, points: 2,") + rule)
    code, text, _ = kistack("policies", "check", house, "--json")
    assert code == 1
    assert json.loads(text)["contradictions"][0]["rules"] == ["four-bits", "more"]


def test_a_file_that_cannot_be_read_ends_with_2(kistack, tmp_path, house):
    code, text, error = kistack("policies", "check", tmp_path / "none.yaml")
    assert (code, text) == (2, "")
    assert "none.yaml" in error
    code, _, error = kistack("policies", "check", "edge-devise")
    assert code == 2
    assert "did you mean 'edge-device'" in error
    house.write_text("name: house\nrules:\n- {id: A, when: pair.train >, strength: wishes, because: no}\nrulez: 1\n")
    code, _, error = kistack("policies", "check", house)
    assert code == 2
    for part in ("house.yaml:3: ", "rulez", "wishes", "does not parse"):
        assert part in error
