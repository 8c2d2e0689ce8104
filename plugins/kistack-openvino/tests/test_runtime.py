from dataclasses import replace

import pytest
from kistack_openvino.places import OPENVINO
from kistack_openvino.runtime import OpenvinoRuntime
from kistack_openvino.settings import RuntimeSettings

from kistack.domain.artifacts import Artifact
from kistack.errors import ModelError
from kistack.plugins.stages import Load

STAGE = OpenvinoRuntime()


@pytest.fixture
def written(smollm):
    return replace(smollm, format="openvino", facets={"precision": "int8"}, facts={**smollm.facts, "bytes": 144e6})


def test_it_opens_its_format_in_an_environment_of_its_own():
    traits = STAGE.traits(RuntimeSettings())
    assert traits.environment == OPENVINO
    [opens] = traits.opens
    assert opens.covers("model", "openvino")
    assert set(opens.gives) == {"generate", "stream", "loglikelihood"}


def test_longer_prompts_and_answers_take_longer_and_batches_share_steps(written, profile):
    def costs(**load):
        return STAGE.serving(RuntimeSettings(), profile, written, Load(**load)).costs

    assert costs(prompt_tokens=400)["latency_seconds"] > costs(prompt_tokens=40)["latency_seconds"]
    assert costs(new_tokens=64)["latency_seconds"] > costs(new_tokens=16)["latency_seconds"]
    assert costs(concurrency=8)["tokens_per_second"] > 2 * costs(concurrency=1)["tokens_per_second"]
    assert costs(concurrency=16)["latency_seconds"] == pytest.approx(2 * costs(concurrency=8)["latency_seconds"])


def test_a_smaller_cache_takes_less_memory(written, profile):
    load = Load(prompt_tokens=4000)
    small = STAGE.serving(RuntimeSettings(), profile, written, load).cost("peak_bytes")
    assert STAGE.serving(RuntimeSettings(cache="fp16"), profile, written, load).cost("peak_bytes") > small


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"holds no openvino_model\.xml"):
        STAGE.open(RuntimeSettings(), Artifact("model", "openvino", tmp_path, "", "k"), {})
