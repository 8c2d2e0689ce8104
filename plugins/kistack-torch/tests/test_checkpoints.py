import json

import torch
from kistack_torch.checkpoints import Checkpoint, Checkpoints


def _checkpoint(step):
    return Checkpoint(step, {"a": torch.arange(4.0) + step, "r": torch.get_rng_state()}, {"losses": [0.1 + step]})


def test_what_was_saved_comes_back(tmp_path):
    kept = Checkpoints(tmp_path / "c", "me")
    assert kept.load() is None
    kept.save(_checkpoint(3))
    kept.save(_checkpoint(7))
    found = kept.load()
    assert found.step == 7
    assert torch.equal(found.tensors["a"], torch.arange(4.0) + 7)
    assert torch.equal(found.tensors["r"], torch.get_rng_state())
    assert found.state == {"losses": [7.1]}
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["checkpoint-00000007"]


def test_another_training_is_not_continued(tmp_path):
    Checkpoints(tmp_path, "one").save(_checkpoint(3))
    assert Checkpoints(tmp_path, "other").load() is None


def test_an_unfinished_or_damaged_one_is_passed_over(tmp_path):
    kept = Checkpoints(tmp_path, "me")
    kept.save(_checkpoint(3))
    (tmp_path / "making").mkdir()
    (tmp_path / "making" / "tensors.safetensors").write_bytes(b"half")
    later = tmp_path / "checkpoint-00000009"
    later.mkdir()
    (later / "state.json").write_text(json.dumps({"schema": 1, "fingerprint": "me", "step": 9, "sha256": "0"}))
    (later / "tensors.safetensors").write_bytes(b"half")
    assert kept.load().step == 3
    file = tmp_path / "checkpoint-00000003" / "tensors.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert kept.load() is None


def test_nothing_is_pickled(tmp_path):
    Checkpoints(tmp_path, "me").save(_checkpoint(1))
    assert {p.name for p in (tmp_path / "checkpoint-00000001").iterdir()} == {"state.json", "tensors.safetensors"}


def test_clear_removes_them(tmp_path):
    kept = Checkpoints(tmp_path / "c", "me")
    kept.save(_checkpoint(1))
    kept.clear()
    assert not (tmp_path / "c").exists()
