import subprocess
import sys

from kistack_torch.embedding.estimates import MANY_TEXTS, complete, embedder_of, needs_torch, query_seconds

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile, measured
from kistack.plugins.costs import machine


def test_what_nobody_said_of_an_embedder_is_that_of_a_small_one():
    found = complete(Type("embedder", "sentence-transformers", {"family": "xlm"}, {"hidden": 768.0}))
    assert (found.fact("hidden"), found.fact("params"), found.facets["family"]) == (768.0, 22.7e6, "xlm")


def test_the_profiles_embedder_is_the_one_it_speaks_of():
    profile = Profile({"embedder.params": measured(1e8, "a test")})
    assert embedder_of(profile).fact("params") == 1e8
    assert embedder_of(profile).fact("hidden") == embedder_of(Profile({})).fact("hidden") == 384


def test_torch_is_for_other_families_and_for_many_texts():
    assert [needs_torch(f, 10) for f in ("", "bert", "mpnet")] == [False, False, True]
    assert [needs_torch("bert", n) for n in (MANY_TEXTS - 1, MANY_TEXTS)] == [False, True]


def test_a_larger_embedder_takes_longer_for_a_question():
    here = machine(
        Profile({"hardware.cores": measured(2.0, "a test"), "hardware.flops_fp32": measured(1e11, "a test")})
    )
    small, large = (query_seconds(complete(Type("embedder", facts={"params": n})), here) for n in (2.2e7, 3.3e8))
    assert 0 < small < large


def test_it_is_light():
    code = (
        "import sys, kistack_torch.embedding.estimates;"
        "heavy = {'numpy', 'torch', 'transformers', 'tokenizers'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
