import json

import pytest
import torch
from distill_toys import contents, record, write_model, write_pairs
from kistack_distill import recording
from kistack_distill.records import Signals
from kistack_distill.settings import TopKSettings
from kistack_distill.signals import TopKSignals
from kistack_torch.batching import padded_ids, target_rows
from kistack_torch.examples import encode_pairs, read_pairs
from kistack_torch.models import encode_pair, load_model, load_tokenizer
from torch.nn import functional

from kistack.errors import DataError, StepFailed
from kistack.testing.context import LocalContext, run_stage

SETTINGS = TopKSettings(k=8, dtype="fp32", batch_tokens=512)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def signals(tmp_path_factory, teacher, pairs):
    return record(tmp_path_factory.mktemp("signals"), teacher, pairs, SETTINGS)


@pytest.fixture(scope="module")
def examples(teacher, pairs):
    tokenizer = load_tokenizer(teacher.path)
    found, _ = encode_pairs(
        read_pairs(pairs.path), lambda m, a: encode_pair(tokenizer, m, a), with_passages=True, max_length=1024
    )
    return found


@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_what_is_read_is_what_the_teacher_says(teacher, signals, examples, everywhere, temperature):
    chosen = [examples[i] for i in (3, 0, 31)]
    model = load_model(teacher.path, dtype=torch.float32, device="cpu")
    rows, _, _ = target_rows(chosen, everywhere=everywhere)
    logits = model(input_ids=torch.tensor(padded_ids(chosen, 0))).logits.flatten(0, 1)[rows]
    full = functional.log_softmax(logits / temperature, dim=-1)
    found = Signals(signals.path).read(chosen, temperature, everywhere=everywhere)
    assert found.ids.shape == (len(rows), 8)
    assert torch.equal(found.ids, logits.topk(8).indices)
    assert torch.allclose(found.log_p, full.gather(1, found.ids), atol=5e-3)
    assert torch.allclose(found.log_p.exp().sum(1) + found.log_tail.exp(), torch.ones(len(rows)), atol=1e-4)


def test_facts_and_format(signals):
    assert (signals.kind, signals.format) == ("signals", "topk")
    held = contents(signals.path)
    assert signals.facts["bytes"] == sum(map(len, held.values()))
    assert signals.facts["count"] == 40
    assert set(held) == {"signals.json", "signals.safetensors"}


def test_recording_twice_or_after_a_kill_gives_the_same_bytes(tmp_path, teacher, pairs, signals, monkeypatch):
    monkeypatch.setattr(recording, "_STRETCH", 2)

    class Stopping(LocalContext):
        def progress(self, *args, **numbers):
            super().progress(*args, **numbers)
            if len(self.reports) == 2:
                raise KeyboardInterrupt

    given = {"teacher": teacher, "pairs": pairs}
    with pytest.raises(KeyboardInterrupt):
        run_stage(TopKSignals(), Stopping(tmp_path, given), SETTINGS)
    kept = sorted(p.name for p in (tmp_path / "scratch").iterdir())
    assert kept == ["signals-000000.safetensors", "signals-000002.safetensors"]
    computed = []
    plain = recording._Recorder.record
    monkeypatch.setattr(
        recording._Recorder, "record", lambda self, batches: computed.append(len(batches)) or plain(self, batches)
    )
    again = run_stage(TopKSignals(), LocalContext(tmp_path, given), SETTINGS)["signals"]
    assert contents(again.path) == contents(signals.path)
    total = len(json.loads((again.path / "signals.json").read_text())["examples"])
    assert total == 40
    assert sum(computed) < -(-40 // 4)


def test_stretches_of_another_recording_are_not_used(tmp_path, teacher, pairs):
    ctx = LocalContext(tmp_path, {"teacher": teacher, "pairs": pairs})
    run_stage(TopKSignals(), ctx, SETTINGS)
    other = run_stage(TopKSignals(), ctx, SETTINGS.model_copy(update={"k": 4}))["signals"]
    straight = record(tmp_path / "straight", teacher, pairs, SETTINGS.model_copy(update={"k": 4}))
    assert contents(other.path) == contents(straight.path)


def test_more_than_the_vocabulary_is_the_vocabulary(tmp_path, teacher, pairs, examples):
    signals = record(tmp_path, teacher, pairs, SETTINGS.model_copy(update={"k": 4096}))
    found = Signals(signals.path).read(examples[:1], 1.0, everywhere=True)
    assert found.ids.shape[1] == 320
    assert torch.isneginf(found.log_tail).all()


def test_signals_of_other_text_temperature_or_vocabulary_are_refused(signals, examples):
    from dataclasses import replace

    held = Signals(signals.path)
    held.check(examples, 2.0, 320)
    with pytest.raises(DataError, match="temperature 3 was not recorded") as caught:
        held.check(examples, 3.0, 320)
    assert "signals/topk" in caught.value.hint
    with pytest.raises(DataError, match="vocabulary of 320 tokens, the student of one of 100"):
        held.check(examples, 1.0, 100)
    changed = replace(examples[5], ids=(*examples[5].ids[:-1], 7))
    with pytest.raises(DataError, match="1 of 2 examples were not recorded"):
        held.check([examples[0], changed], 1.0, 320)


def test_unreadable_signals_are_told(tmp_path, signals):
    import shutil

    with pytest.raises(DataError, match="no signals that can be read"):
        Signals(tmp_path)
    shutil.copytree(signals.path, tmp_path / "s")
    (tmp_path / "s" / "signals.safetensors").write_bytes(b"broken")
    with pytest.raises(DataError, match="no signals that can be read"):
        Signals(tmp_path / "s")


def test_a_teacher_that_says_nothing_is_told(tmp_path, pairs):
    from kistack_torch.models import load_tokenizer, save_model

    teacher = write_model(tmp_path / "teacher")
    model = load_model(teacher.path, dtype=torch.float32, device="cpu")
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    save_model(model, load_tokenizer(teacher.path), teacher.path)
    with pytest.raises(StepFailed, match="no finite numbers"):
        record(tmp_path / "out", teacher, pairs, SETTINGS)
