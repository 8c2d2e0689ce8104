import subprocess
import sys

from kistack_gguf import hooks

from kistack.plugins.stages import Stage

HEAVY = ("torch", "transformers", "numpy", "gguf", "jinja2", "xllamacpp", "cyllama", "tokenizers")


def test_both_stages_are_registered_under_their_kinds():
    (quantizer,), (runtime,) = hooks.kistack_register_quantizers(), hooks.kistack_register_runtimes()
    assert issubclass(quantizer, Stage)
    assert issubclass(runtime, Stage)
    assert (quantizer.name, runtime.name) == ("quantize/gguf", "runtime/llamacpp")


def test_the_entry_point_names_the_hooks():
    from importlib.metadata import entry_points

    (found,) = [e for e in entry_points(group="kistack") if e.name == "gguf"]
    assert found.load() is hooks


def test_hooks_import_nothing_heavy_and_tell_gives_without_it():
    code = (
        "import sys, kistack_gguf.hooks as h\n"
        "for c in (*h.kistack_register_quantizers(), *h.kistack_register_runtimes()):\n"
        "    s = c(); s.traits(s.Settings()); s.Settings.model_json_schema()\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
