"""Pure methods are called, timed, and told as text that two processes can compare."""

import json

import bad.stages
import toys
from hypothesis import given
from hypothesis import strategies as st

from kistack.domain.artifacts import Opener, Type
from kistack.domain.facts import Profile
from kistack.testing.lightness import as_json, exercise, served, type_from_json, type_to_json

NAMES = st.text(min_size=1, max_size=8)


@given(
    st.builds(
        Type,
        kind=NAMES,
        format=NAMES,
        facets=st.dictionaries(NAMES, NAMES),
        facts=st.dictionaries(NAMES, st.floats(allow_nan=False)),
        identity=NAMES,
        needs=st.lists(NAMES).map(tuple),
        line=st.lists(NAMES).map(tuple),
        opener=st.none() | st.builds(Opener, NAMES, st.dictionaries(NAMES, st.integers())),
        serves=st.sampled_from([None, served]),
    )
)
def test_types_survive_json(found):
    back = type_from_json(json.loads(json.dumps(type_to_json(found))))
    assert back == found
    assert back.serves is found.serves


def test_answers_do_not_depend_on_the_order_of_sets_and_dictionaries():
    assert as_json({"b": {3, 1}, "a": (1, 2)}) == as_json({"a": [1, 2], "b": frozenset({1, 3})})


def test_every_method_is_answered_and_errors_are_one_line():
    corpus = {"corpus": Type("corpus", "jsonl", {}, {"bytes": 1e3, "count": 10.0}, "c")}
    told = exercise(toys.ToyRetrieve(), toys.RetrieveSettings(), Profile({}), corpus)
    assert set(told) == {"traits", "suggest", "resolve", "estimate", "serving"}
    assert all("answer" in call and call["seconds"] < 1 for call in told.values())
    assert json.loads(told["suggest"]["answer"]) == [{"top_k": 2}, {"top_k": 4}]
    demanding = bad.stages.Demanding()
    said = exercise(demanding, demanding.Settings(), Profile({}), corpus)["estimate"]["error"]
    assert said == "KeyError: 'hardware.cores'"
