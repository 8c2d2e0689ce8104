"""Every stage of this plugin keeps the contract, through the door that is open to everyone."""

import pytest

from kistack.testing import check_stage

pytestmark = pytest.mark.system


@pytest.mark.parametrize("stage", ["source/folder", "source/gguf", "runtime/transformers", "profile/matmul"])
def test_it_keeps_the_contract(stage):
    check_stage(stage)


def test_a_source_of_packages_keeps_it(model_folder, tmp_path, monkeypatch):
    package = tmp_path / "site" / "tiny_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    about = package.parent / "tiny_weights-1.0.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text("Metadata-Version: 2.4\nName: tiny-weights\nVersion: 1.0\nLicense-Expression: MIT\n")
    (package / "model").symlink_to(model_folder)
    monkeypatch.syspath_prepend(package.parent)
    check_stage(
        "source/package",
        settings={"reference": "package:tiny_weights/model"},
        expected={"resolves": "dtype: auto says nothing of a folder, in which nothing is unpacked"},
    )


def test_a_source_of_the_hub_keeps_it(model_folder, tmp_path, monkeypatch):
    from huggingface_hub import constants

    commit = "a" * 40
    snapshot = tmp_path / "hub" / "models--org--tiny" / "snapshots" / commit
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(model_folder)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(commit)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    check_stage("source/hub", settings={"reference": "hub:org/tiny"})
