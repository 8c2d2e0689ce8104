import pytest
from kistack_torch.folders import copy_terms, folder_bytes, weights_digest

from kistack.errors import ModelError


def test_equal_weights_have_equal_digests(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"weights")
    (other / "config.json").write_text("{}")
    assert weights_digest(one) == weights_digest(other)
    (other / "model.safetensors").write_bytes(b"Weights")
    assert weights_digest(one) != weights_digest(other)


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(ModelError, match="no safetensors"):
        weights_digest(tmp_path)


def test_terms_travel_with_copies(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    for name in ("LICENSE", "NOTICE.txt", "config.json"):
        (source / name).write_text(name)
    copy_terms(source, target)
    assert sorted(p.name for p in target.iterdir()) == ["LICENSE", "NOTICE.txt"]
    assert folder_bytes(target) == len("LICENSE") + len("NOTICE.txt")
