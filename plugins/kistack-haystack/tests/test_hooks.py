import subprocess
import sys

import pytest
from kistack_haystack import hooks


@pytest.mark.speed
def test_importing_the_hooks_loads_nothing_heavy():
    code = (
        "import sys, kistack.plugins.stages, kistack.plugins.hookspecs, time; start = time.perf_counter();"
        "import kistack_haystack.hooks as h; assert time.perf_counter() - start < 0.5;"
        "s = h.kistack_register_retrievers()[0](); [s.traits(s.Settings(method=m)) for m in ('auto', 'bm25')];"
        "heavy = {'numpy', 'torch', 'haystack', 'kistack_torch', 'tokenizers', 'nltk'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_retriever_is_registered():
    assert [stage.name for stage in hooks.kistack_register_retrievers()] == ["retrieve/haystack"]


def test_what_its_extra_adds_is_said():
    assert "hybrid" in hooks.EXTRAS["embedding"]
