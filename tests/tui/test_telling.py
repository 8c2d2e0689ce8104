import pytest

from kistack.advisor.recommend import explained
from kistack.domain.planfile import load_plan
from kistack.errors import InputError, InvalidInput
from kistack.tui.board import rows
from kistack.tui.stating import adopt
from kistack.tui.telling import changes_of, flip_lines, free_name, reason_lines, what_if_text, write_plan


def test_reasons_come_with_their_sources_the_weightiest_first(opened):
    found = reason_lines(rows(opened.bench.judgement, opened.bench)[0])
    assert found[0].startswith("retrieve+tune")
    told = [line for line in found if line.startswith("• ")]
    assert any("arXiv" in line for line in told)
    points = [abs(float(line.split()[1])) for line in told if line.split()[1][0] in "+-"]
    assert points == sorted(points, reverse=True)


def test_a_rejected_row_says_what_would_admit_it(opened):
    adopt(opened, {"limits.memory": "1MB"})
    assert "raise limits.memory to" in reason_lines(rows(opened.bench.judgement, opened.bench)[0])[1]


def test_flips_are_told_as_sentences(opened):
    found = flip_lines(explained(opened.bench))
    assert any("would win if" in line for line in found)


def test_a_what_if_is_checked_before_it_is_judged(opened):
    asked = changes_of("limits.memory=2GiB\n\npairs.train=50\n", opened.scenario, opened.profile)
    assert asked == {"limits.memory": "2GiB", "pairs.train": "50"}
    with pytest.raises(InvalidInput, match="nothing has this key"):
        changes_of("limits.memry=2GiB\nno.such=3", opened.scenario, opened.profile)
    with pytest.raises(InputError, match="nothing is changed"):
        changes_of("\n", opened.scenario, opened.profile)
    text = what_if_text(opened.place.advise(changes={"limits.memory": "1MB"}), 60)
    assert "Nothing was written" in text
    assert max(map(len, text.splitlines())) <= 60


def test_plans_are_written_beside_what_is_there(opened, tmp_path):
    plan = opened.bench.judgement.best.candidate.plan
    write_plan(tmp_path / free_name(tmp_path), plan)
    assert load_plan(tmp_path / "plan.yaml") == plan
    assert free_name(tmp_path) == "plan-2.yaml"
    with pytest.raises(InputError, match="exists already"):
        write_plan(tmp_path / "plan.yaml", plan)
    with pytest.raises(InputError, match="not a folder"):
        write_plan(tmp_path / "no" / "plan.yaml", plan)
