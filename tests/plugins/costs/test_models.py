from importlib import resources

import pytest
import yaml

from kistack.errors import InputError
from kistack.plugins import costs

SHAPES = {shape.identity: shape for shape in costs.model_shapes().values()}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_published_parameters_follow_from_the_shape(shape):
    explained = costs.linear_params(shape) + costs.embedding_params(shape) + costs.untied_params(shape)
    rest = shape.fact("params") - explained
    # what is left are norms, biases and learned positions
    assert 0 <= rest < 0.017 * shape.fact("params")
    assert shape.fact("context") >= 512


def test_every_shape_names_its_source():
    text = (resources.files("kistack.data") / "models.yaml").read_text(encoding="utf-8")
    for row in yaml.safe_load(text)["models"].values():
        assert row["source"].startswith(("config: ", "LLaMA, arXiv:"))


@pytest.mark.parametrize(
    ("name", "usual"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "Llama-3.1-8B"),
        ("Meta-Llama-3-8B", "Llama-3.1-8B"),
        ("Llama-2-7b-chat-hf", "Llama-2-7B"),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "Qwen2.5-7B"),
        ("mistralai/Mistral-7B-v0.1", "Mistral-7B"),
        ("bigscience/T0_3B", "T0_3B"),
        ("all-MiniLM-L6-v2", "all-MiniLM-L6"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "SmolLM2-135M"),
    ],
)
def test_names_are_read_as_people_write_them(name, usual):
    assert costs.model_shape(name).identity == usual


def test_an_unknown_model_names_close_ones():
    with pytest.raises(InputError, match="Llama-9-8B") as caught:
        costs.model_shape("Llama-9-8B")
    assert "llama-3-8b" in caught.value.hint
