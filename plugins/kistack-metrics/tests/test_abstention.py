import pytest
from kistack_metrics.abstention import Decisions, abstains

from kistack.demo.documents import documents_as_of
from kistack.demo.pairs import pairs_as_of

DECLINES = [
    "",
    "  \n",
    "I don't know.",
    "I do not know the answer to that.",
    "I\u2019m not sure.",
    "I am unable to find it.",
    "I cannot answer this question.",
    "Sorry, I can't say.",
    "We do not have any information about that.",
    "Unknown",
    "unknown.",
    "N/A",
    "Not specified.",
    "Not mentioned",
    "The answer is not stated in the notes.",
    "The notes do not mention the release date of Debian.",
    "The provided context doesn't specify a date.",
    "This is not mentioned in the provided passages.",
    "There is no information about that in the notes.",
    "There's no mention of it.",
    "It cannot be determined from the text.",
    "None of the passages say so.",
    "Not enough information.",
    "Insufficient information to answer.",
    "No information is available in the notes.",
    "The documentation does not explicitly state this.",
]
ANSWERS = [
    "8.1.29",
    "2027-10-31",
    "The latest release is 8.1.29.",
    "It is not supported any more since 2024.",
    "No",
    "None",
    "Nobody knows him as Bob.",
    "I know it is 8.1.29.",
    "There is no tax on bread.",
    "The kernel does not support it.",
    "Not until 2026.",
    "The Unknown Soldier",
    "You cannot upgrade before June.",
    "I don't like it.",
    "The plan did not provide housing.",
]


@pytest.mark.parametrize("text", DECLINES)
def test_these_decline(text):
    assert abstains(text)


@pytest.mark.parametrize("text", ANSWERS)
def test_these_answer(text):
    assert not abstains(text)


def test_a_text_that_gives_the_answer_all_the_same_has_answered():
    assert not abstains("I'm not sure, but it is 8.1.29.", ["8.1.29"])
    assert abstains("I'm not sure, but it is 8.1.28.", ["8.1.29"])


def test_a_house_may_say_it_in_its_own_words():
    assert not abstains("Das steht da nicht.")
    assert abstains("das steht da nicht", wordings=["Das steht da nicht."])


def test_no_answer_and_no_document_of_the_demo_is_taken_for_a_refusal():
    texts = [p.answers[0] for p in pairs_as_of()]
    texts += [d.text for of in documents_as_of().values() for d in of]
    assert len(texts) > 1000
    assert [t for t in texts if abstains(t)] == []


def test_decisions_of_each_kind():
    found = Decisions((True, True, False, False, False), (True, False, False, True, None))
    assert found.right == [1.0, 0.0, 1.0, 0.0, 0.0]
    assert found.answered == [1.0, 0.0, 0.0]
    assert found.declined == [1.0, 0.0]
    assert found.justified == [1.0, 0.0]
