from __future__ import annotations

import subprocess
import sys

from kistack_transformers import hooks

HEAVY = ("torch", "transformers", "peft", "gguf", "numpy", "huggingface_hub", "tokenizers", "safetensors")


def test_what_is_registered():
    names = [s.name for s in hooks.kistack_register_sources()]
    assert names == ["source/folder", "source/hub", "source/gguf", "source/package"]
    assert [s.name for s in hooks.kistack_register_runtimes()] == ["runtime/transformers"]
    assert all(s.summary for s in [*hooks.kistack_register_sources(), *hooks.kistack_register_runtimes()])


def test_every_setting_is_described():
    for stage in [*hooks.kistack_register_sources(), *hooks.kistack_register_runtimes()]:
        assert all(f.description for f in stage.Settings.model_fields.values()), stage.name


def test_registering_and_inspecting_import_nothing_heavy(model_folder, packed_file):
    script = f"""
import sys
from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.plugins.stages import Load
from kistack_transformers import hooks
for source in hooks.kistack_register_sources():
    for reference in ({str(model_folder)!r}, {str(packed_file)!r}):
        settings = source().claims(reference)
        if settings is not None:
            stage = source()
            settings = stage.resolve(settings, Profile({{}}), {{}})
            assert stage.inspect(settings).fact("params") > 0
            stage.estimate(settings, Profile({{}}), {{}})
            stage.licence(settings), stage.licence_text(settings), stage.knowledge_cutoff(settings)
runtime = hooks.kistack_register_runtimes()[0]()
runtime.serving(runtime.resolve(runtime.Settings(), Profile({{}}), {{}}), Profile({{}}), Type("model"), Load())
print(*(m for m in {HEAVY!r} if m in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
