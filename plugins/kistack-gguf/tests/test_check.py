import numpy as np
import pytest
from kistack_gguf import export, native
from kistack_gguf.check import Drift, compare, judge
from kistack_gguf.kinds import KINDS
from kistack_gguf.vocabulary import read_vocabulary

from kistack.errors import StepFailed


def test_half_precision_answers_as_its_source(folder, gguf_file):
    seen = []
    drift = compare(folder, gguf_file, lambda *n: seen.append(n))
    assert drift.kl < 1e-4
    # one near tie may tip over
    assert drift.agreement > 0.97
    # eight prompts, twelve positions of each and its answer
    assert drift.positions > 8 * 12
    assert seen[-1] == (16, 16)


def test_fewer_bits_drift_further(folder, gguf_file, tmp_path):
    found = {}
    for name in ("Q8_0", "Q4_0"):
        export.export(folder, tmp_path / "m.gguf", KINDS[name])
        found[name] = compare(folder, tmp_path / "m.gguf")
        judge(found[name], KINDS[name])
    assert compare(folder, gguf_file).kl < found["Q8_0"].kl < found["Q4_0"].kl


def test_an_export_with_rotary_rows_in_the_wrong_order_is_caught(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "interleave", lambda rows, _heads: rows)
    export.export(folder, tmp_path / "m.gguf", KINDS["F16"])
    drift = compare(folder, tmp_path / "m.gguf")
    with pytest.raises(StepFailed, match="F16 changes the answers: mean KL divergence") as caught:
        judge(drift, KINDS["F16"])
    assert "Q8_0" in caught.value.hint


def without_merges(source, rows):
    vocabulary = read_vocabulary(source, rows)
    vocabulary.merges[:] = vocabulary.merges[:1]
    return vocabulary


def test_a_tokenizer_that_cuts_otherwise_is_caught(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "read_vocabulary", without_merges)
    export.export(folder, tmp_path / "m.gguf", KINDS["F16"])
    with pytest.raises(StepFailed, match="into other tokens than the source, from token") as caught:
        compare(folder, tmp_path / "m.gguf")
    assert "unquantized" in caught.value.hint


def test_without_logits_answers_are_compared(folder, gguf_file, monkeypatch):
    monkeypatch.setattr(native, "has_logits", lambda: False)
    drift = compare(folder, gguf_file)
    assert drift.kl is None
    assert drift.positions == 8
    assert drift.agreement > KINDS["F16"].agreement
    judge(drift, KINDS["F16"])


def test_without_logits_a_broken_export_is_caught(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(native, "has_logits", lambda: False)
    monkeypatch.setattr(export, "interleave", lambda rows, _heads: rows)
    export.export(folder, tmp_path / "m.gguf", KINDS["Q8_0"])
    with pytest.raises(StepFailed, match="of the greedy answers stay") as caught:
        judge(compare(folder, tmp_path / "m.gguf"), KINDS["Q8_0"])
    assert "cyllama" in caught.value.hint


def test_without_logits_a_tokenizer_that_cuts_otherwise_is_caught(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(native, "has_logits", lambda: False)
    monkeypatch.setattr(export, "read_vocabulary", without_merges)
    export.export(folder, tmp_path / "m.gguf", KINDS["F16"])
    with pytest.raises(StepFailed, match=r"llama\.cpp reads \d+ tokens in a prompt of \d+"):
        compare(folder, tmp_path / "m.gguf")


def test_tolerances_are_the_kinds_own_or_the_users():
    drift = Drift(0.02, 1.0, 100)
    judge(drift, KINDS["Q8_0"])
    judge(drift, KINDS["F16"], tolerance=0.1)
    with pytest.raises(StepFailed, match=r"0\.0200 nats per token, 0\.01 is tolerated"):
        judge(drift, KINDS["Q8_0"], tolerance=0.01)
    with pytest.raises(StepFailed):
        judge(Drift(float("nan"), 1.0, 100), KINDS["Q4_0"])


def test_tolerances_widen_as_bits_fall():
    kinds = sorted(KINDS.values(), key=lambda k: -k.bits)
    assert [k.name for k in kinds[:2]] == ["F16", "Q8_0"]
    assert np.all(np.diff([k.tolerance for k in kinds]) >= 0)
    assert np.all(np.diff([k.points for k in kinds]) <= 0)
