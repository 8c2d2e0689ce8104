from __future__ import annotations

import importlib
import shutil
import sys
from importlib import metadata

import pytest
from huggingface_hub import constants
from kistack_transformers.finding import in_hub_cache, in_packages


class Listed:
    def __init__(self, record):
        self.record = record

    def read_text(self, name):
        return self.record if name == "RECORD" else None


@pytest.fixture
def packages(tmp_path, monkeypatch):
    root = tmp_path / "site"
    (root / "one_model").mkdir(parents=True)
    (root / "one_model" / "__init__.py").write_text("raise RuntimeError('imported')")
    (root / "one_model" / "m.gguf").write_bytes(b"x" * 7)
    for name in ("small", "large"):
        (root / "two_models" / name).mkdir(parents=True)
        (root / "two_models" / name / "config.json").write_text("{}")
        (root / "two_models" / name / "model.safetensors").write_bytes(b"x" * len(name))
    (root / "two_models" / "__init__.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(root), *sys.path])
    importlib.invalidate_caches()
    records = [
        "one_model/__init__.py,,\none_model/m.gguf,sha256=x,7",
        "two_models/small/model.safetensors,,\ntwo_models/large/model.safetensors,,",
        "no_models/code.py,,",
        None,
        "gone_since/m.gguf,,",
    ]
    monkeypatch.setattr(metadata, "distributions", lambda: [Listed(r) for r in records])


def test_packages_that_carry_weights_are_found_without_importing_them(packages):
    assert list(in_packages()) == [
        ("package:one_model", 7),
        ("package:two_models/large", 5),
        ("package:two_models/small", 5),
    ]
    assert "one_model" not in sys.modules


def test_whole_models_of_the_cache_are_found(tmp_path, monkeypatch, model_folder):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert list(in_hub_cache()) == []
    for name in ("models--org--tiny", "models--org--torn--odd"):
        root = tmp_path / "hub" / name
        shutil.copytree(model_folder, root / "snapshots" / ("a" * 40))
        (root / "refs").mkdir()
        (root / "refs" / "main").write_text("a" * 40)
    for weights in (tmp_path / "hub" / "models--org--torn--odd").rglob("*.safetensors"):
        weights.unlink()
    size = sum(p.stat().st_size for p in model_folder.glob("*.safetensors"))
    assert list(in_hub_cache()) == [("hub:org/tiny", size)]
