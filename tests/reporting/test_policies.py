import json

import pytest

from kistack.advisor.policies import load_policies, read_policies
from kistack.advisor.policy_check import check_rules
from kistack.reporting.markdown import render
from kistack.reporting.policies import policies_document, policies_page, policy_check_document, policy_check_page

TEXT = """\
name: house
summary: rules of this house
rules:
- {id: fine, when: pairs.train > 5.0, strength: requires, techniques: [tune], because: a sentence that says why}
- {id: against, when: pairs.train < 9.0, strength: forbids, techniques: [tune], because: a sentence that says why}
- {id: dead, when: pairs.trian > 5.0, strength: notes, because: a sentence that says why}
- {id: unsure, when: model.params > teacher.params * 2.0 && model.params < teacher.params, strength: notes,
   because: a sentence that says why}
"""


@pytest.fixture
def house(tmp_path):
    path = tmp_path / "house.yaml"
    path.write_text(TEXT)
    return path


def test_policies_are_listed_with_their_file_and_size(house):
    found = read_policies([house])
    text = render(policies_page(found))
    assert "house" in text
    assert "rules of this house" in text
    (document,) = policies_document(found)["policies"]
    assert document["name"] == "house"
    assert document["where"] == str(house)
    assert [r["id"] for r in document["rules"]] == ["fine", "against", "dead", "unsure"]
    assert document["rules"][0]["where"] == "house.yaml:4"


def test_what_is_wrong_is_told_under_its_heading(house):
    check = check_rules(load_policies([house]))
    text = render(policy_check_page(check))
    assert "2 of 4 rules can fire" in text
    for heading in ("Cannot fire", "Not shown to fire", "Facts that no profile has", "Contradictions"):
        assert heading in text
    assert "dead (house.yaml:6): pairs.trian > 5.0 never holds" in text
    assert "did you mean pairs.train?" in text
    assert "fine requires tune, which against forbids; both hold for tune where pairs.train = " in text


def test_programs_get_witnesses(house):
    document = json.loads(json.dumps(policy_check_document(check_rules(load_policies([house])))))
    assert document["schema"] == 1
    assert document["sound"] is False
    verdicts = {r["id"]: r["verdict"] for r in document["rules"]}
    assert verdicts == {
        "fine": "can fire", "against": "can fire", "dead": "cannot fire", "unsure": "not shown to fire"
    }  # fmt: skip
    fine = document["rules"][0]["witness"]
    assert fine["facts"]["pairs.train"] > 5
    assert "tune" not in fine["candidate"]["techniques"]
    assert document["rules"][2]["unknown_facts"] == {"pairs.trian": "pairs.train"}
    (contradiction,) = document["contradictions"]
    assert contradiction["rules"] == ["fine", "against"]
    assert 5 < contradiction["witness"]["facts"]["pairs.train"] < 9
