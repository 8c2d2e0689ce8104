import hashlib
import shutil
from dataclasses import replace

import pytest
from kistack_gguf import quantizer
from kistack_gguf.check import Drift
from kistack_gguf.quantizer import MODEL_FILE, GgufQuantizer
from kistack_gguf.settings import GgufSettings
from pydantic import ValidationError

from kistack.domain.facts import declared
from kistack.errors import StepFailed
from kistack.plugins import costs
from kistack.testing.context import LocalContext, run_stage

STAGE = GgufQuantizer()


def test_it_reads_unquantized_llamas_and_says_what_to_do_otherwise():
    (port,) = STAGE.traits(GgufSettings()).consumes.values()
    assert port.where == {"format": "hf", "precision": "fp32|fp16|bf16", "family": "llama"}
    assert "family" in port.hint
    assert "last" in port.hint


@pytest.mark.parametrize(("kind", "precision"), [("F16", "fp16"), ("Q8_0", "int8"), ("Q4_0", "int4"), ("Q5_1", "q5_1")])
def test_what_it_leaves_has_the_precision_of_its_kind(kind, precision):
    out = STAGE.traits(GgufSettings(kind=kind)).produces["model"]
    assert (out.kind, out.format, out.like, out.set) == ("model", "gguf", "model", {"precision": precision})
    assert costs.bits(precision) <= 16


def test_unknown_kinds_are_refused():
    with pytest.raises(ValidationError, match="Q8_0"):
        GgufSettings(kind="Q3_K")


@pytest.mark.parametrize("kind", ["Q8_0", "F16"])
def test_it_writes_a_checked_model_with_its_licence(source, tmp_path, kind):
    folder = shutil.copytree(source.path, tmp_path / "hf")
    (folder / "LICENSE").write_text("Apache License")
    ctx = LocalContext(tmp_path / "run", {"model": replace(source, path=folder)})
    made = run_stage(STAGE, ctx, GgufSettings(kind=kind))["model"]
    assert sorted(f.name for f in made.path.iterdir()) == ["LICENSE", MODEL_FILE]
    assert made.facts["bytes"] == (made.path / MODEL_FILE).stat().st_size
    assert made.facts["bits"] == pytest.approx(8.5 if kind == "Q8_0" else 16, abs=0.2)
    assert made.facts["kl_measured"] == 1
    assert 0 <= made.facts["kl"] < GgufSettings(kind=kind).spec.tolerance
    assert made.facts["agreement"] > 0.8
    assert {r["unit"] for r in ctx.reports} == {"weights", "prompts answered again"}


def test_two_runs_leave_the_same_bytes(source, tmp_path):
    digests = set()
    for name in ("one", "two"):
        made = run_stage(STAGE, LocalContext(tmp_path / name, {"model": source}))["model"]
        digests.add(hashlib.sha256((made.path / MODEL_FILE).read_bytes()).hexdigest())
    assert len(digests) == 1
    assert STAGE.traits(GgufSettings()).deterministic


def test_answers_that_changed_fail_the_step(source, tmp_path):
    with pytest.raises(StepFailed, match="Q4_0 changes the answers") as caught:
        run_stage(STAGE, LocalContext(tmp_path, {"model": source}), GgufSettings(kind="Q4_0", tolerance=1e-4))
    assert "Q8_0" in caught.value.hint


def test_a_kind_that_saves_nothing_fails_the_step(source, tmp_path, monkeypatch):
    from kistack_gguf import export

    whole = export.export

    def in_half_precision(folder, target, _kind, progress):
        written = whole(folder, target, GgufSettings(kind="F16").spec, progress)
        return replace(written, source_matrix_bytes=written.matrix_bytes)

    monkeypatch.setattr(export, "export", in_half_precision)
    with pytest.raises(StepFailed, match="Q8_0 saves nothing"):
        run_stage(STAGE, LocalContext(tmp_path / "q", {"model": source}), GgufSettings())
    # sixteen bits of sixteen are no failure: the gain is the runtime
    run_stage(STAGE, LocalContext(tmp_path / "f", {"model": source}), GgufSettings(kind="F16"))


def test_without_logits_the_facts_say_so(source, tmp_path, monkeypatch):
    monkeypatch.setattr("kistack_gguf.check.compare", lambda *_: Drift(None, 0.9, 8))
    ctx = LocalContext(tmp_path, {"model": source})
    facts = run_stage(STAGE, ctx)["model"].facts
    assert facts["kl_measured"] == 0
    assert "kl" not in facts
    assert any("cyllama" in line for line in ctx.lines)


def test_the_estimate_is_near_what_was_measured(smollm, profile):
    found = STAGE.estimate(GgufSettings(), profile, {"model": smollm})
    # measured: 144.8 MB, 8.5 bits, 1.24 GB resident, 22 s beside other work of which 17 s of processor time
    assert found.facts["model"]["bytes"] == pytest.approx(144.8e6, rel=0.01)
    assert found.facts["model"]["bits"] == pytest.approx(8.6, abs=0.1)
    assert found.cost("peak_bytes") == pytest.approx(1.24e9, rel=0.1)
    assert found.cost("seconds") == pytest.approx(22, rel=0.4)
    assert found.quality.points == pytest.approx(-0.1, abs=0.05)
    assert found.quality.source


def test_fewer_bits_cost_more_quality_and_more_so_for_small_models(smollm, profile):
    large = replace(smollm, facts={**smollm.facts, "params": 8e9})

    def points(kind, model):
        return STAGE.estimate(GgufSettings(kind=kind), profile, {"model": model}).quality

    ordered = [points(k, smollm).points for k in ("F16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0")]
    assert ordered == sorted(ordered, reverse=True)
    assert points("Q4_0", smollm).points < points("Q4_0", large).points == pytest.approx(-1.59)
    for kind in ("F16", "Q4_0"):
        assert points(kind, smollm).low <= points(kind, smollm).points <= points(kind, smollm).high


def test_suggestions_start_with_eight_bits_unless_memory_is_short(smollm, profile):
    first, second = STAGE.suggest(profile, {"model": smollm})
    assert (first.kind, second.kind) == ("Q8_0", "F16")
    large = replace(smollm, facts={**smollm.facts, "params": 3e9})
    assert [s.kind for s in STAGE.suggest(profile, {"model": large})] == ["Q8_0", "Q4_0"]
    tight = profile.updated({"scenario.limit_memory": declared(2e8, "test")})
    assert STAGE.suggest(tight, {"model": smollm})[0].kind == "Q4_0"


def test_no_heavy_import_is_needed_to_judge_it():
    assert not hasattr(quantizer, "numpy")
    assert STAGE.libraries == ("gguf", "numpy")
