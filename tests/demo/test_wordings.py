import re
import subprocess
import sys

from kistack.demo.releases import KINDS
from kistack.demo.wordings import NOTES, TEST_QUESTIONS, TRAIN_QUESTIONS, choose, draw


def words(wording):
    return re.sub(r"[^a-z ]", "", re.sub(r"\{\w+\}", "", wording.lower())).split()


def test_every_kind_is_worded_in_several_ways_with_the_fields_it_needs():
    for wordings in (NOTES, TRAIN_QUESTIONS, TEST_QUESTIONS):
        assert set(wordings) == set(KINDS)
        for kind, texts in wordings.items():
            assert len(set(texts)) == len(texts) >= 3
            for text in texts:
                assert "{title}" in text
                assert ("{cycle}" in text) == (kind != "newest_cycle")
                assert ("{value}" in text) == (wordings is NOTES)


def test_training_and_held_out_questions_share_no_wording():
    asked = {tuple(words(t)) for texts in TRAIN_QUESTIONS.values() for t in texts}
    held_out = {tuple(words(t)) for texts in TEST_QUESTIONS.values() for t in texts}
    assert not asked & held_out
    assert not any(set(a) == set(b) for a in asked for b in held_out)


def test_questions_are_not_the_sentences_that_answer_them():
    notes = {tuple(words(t)) for texts in NOTES.values() for t in texts}
    questions = {tuple(words(t)) for q in (TRAIN_QUESTIONS, TEST_QUESTIONS) for texts in q.values() for t in texts}
    assert not notes & questions


def test_drawing_is_the_same_in_every_process():
    code = "from kistack.demo.wordings import draw; print(draw('python/3.12/end-of-life'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == draw("python/3.12/end-of-life")


def test_choosing_reaches_every_wording():
    assert {choose(("a", "b", "c"), str(n)) for n in range(60)} == {"a", "b", "c"}
