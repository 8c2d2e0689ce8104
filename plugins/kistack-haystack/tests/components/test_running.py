import pytest
from haystack import Pipeline, component
from kistack_haystack.components.running import run_pipeline

from kistack.errors import DataError


def raising(error):
    @component
    class Raising:
        @component.output_types(text=str)
        def run(self, text: str):
            if error is not None:
                raise error
            return {"text": text}

    pipeline = Pipeline()
    pipeline.add_component("raising", Raising())
    return lambda: run_pipeline(pipeline, {"raising": {"text": "x"}})


def test_what_comes_out_is_returned():
    assert raising(None)() == {"raising": {"text": "x"}}


def test_our_own_errors_come_through_as_they_are():
    with pytest.raises(DataError, match="what is wrong") as caught:
        raising(DataError("what is wrong", "what to do"))()
    assert caught.value.hint == "what to do"


def test_other_errors_name_the_component():
    with pytest.raises(Exception, match="Component name: 'raising'"):
        raising(ZeroDivisionError("no"))()
