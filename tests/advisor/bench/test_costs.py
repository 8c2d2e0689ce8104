import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from kistack.advisor.bench.costs import PEAKS, ROOM, kendall_tau, score_costs
from kistack.advisor.bench.rows import Case, Row, load_rows, out_of_memory_cases
from kistack.errors import InputError, InvalidInput
from kistack.plugins import costs

LLAMACPP = "llama.cpp, tools/quantize/README.md"
QWEN = "QwenLM/Qwen2.5 docs/source/benchmark/speed_benchmark.rst"
TUNE = "pytorch/torchtune README.md"

FILE = f"""\
constants:
- {{name: anything, formula: ignored}}
measured:
# {LLAMACPP}
- {{kind: file_size, model: Llama-3.1-8B, config: Q4_K_M (4.8944 bits/weight), measured: 4.58, unit: GiB}}
- {{kind: file_size, model: Llama-3.1-8B, config: Q8_0, measured: 7.95, unit: GiB, source: "{LLAMACPP}"}}
- {{kind: decode, model: Llama-3.1-8B, hardware: some device, config: F16 tg128, measured: 29.17, unit: tokens/s}}
- {{kind: decode, model: Llama-3.1-8B, hardware: some device, config: Q8_0 tg128, measured: 50.93, unit: tokens/s}}
- {{kind: decode, model: Llama-3.1-8B, hardware: some device, config: Q6_K tg128, measured: 58.67, unit: tokens/s}}
- {{kind: decode, model: Llama-3.1-8B, hardware: some device, config: Q4_K_M tg128, measured: 71.93, unit: tokens/s}}
- {{kind: decode, model: Llama-3.1-8B, hardware: some device, config: Q2_K tg128, measured: 79.85, unit: tokens/s}}
- {{kind: prefill, model: Llama-3.1-8B, hardware: some device, config: F16 pp512, measured: 923.49, unit: tokens/s}}
- {{kind: prefill, model: Llama-3.1-8B, hardware: some device, config: Q4_K_M pp512, measured: 821.81, unit: tokens/s}}
- {{kind: decode, model: Qwen2.5-14B, hardware: A100-80 vLLM bs1, config: gptq-int4 ctx 6144, measured: 86.1,
   unit: tokens/s, source: "{QWEN}"}}
- {{kind: decode, model: Llama-2-13B, hardware: RTX 4090, config: awq int4, measured: 10.35, unit: ms/token}}
- {{kind: peak_mem, model: Qwen2.5-7B, hardware: A100 HF transformers bs1, config: bf16 input 30720, measured: 19.97,
   unit: GiB, source: "{QWEN}"}}
- {{kind: train_peak_mem, model: Llama-3.1-8B, hardware: bs2 seq2048, config: "qlora, 4090", measured: 7.4, unit: GiB,
   source: "{TUNE}"}}
- {{kind: train_speed, model: Llama-3.1-8B, hardware: bs2 seq2048, config: "lora, 4090", measured: 3083, unit: tokens/s,
   source: "{TUNE}"}}
- {{kind: kv_cache, model: Llama-2-7B, hardware: any, config: "fp16, 10,000 tokens", measured: 5, unit: GB (about)}}
- {{kind: file_size, model: Nobody-7B, config: Q8_0, measured: 7, unit: GB}}
- {{kind: colour, model: Llama-2-7B, config: bf16, measured: 7, unit: GB}}
- {{kind: file_size, model: Llama-2-7B, config: in gold, measured: 7, unit: GB}}
- {{kind: file_size, model: Llama-2-7B, config: bf16, measured: 7, unit: furlongs}}
- {{kind: decode, model: Llama-2-7B, hardware: 4x A100, config: bf16, measured: 254, unit: tokens/s}}
- {{kind: decode, model: Llama-2-7B, hardware: a toaster, config: int8, measured: 3, unit: tokens/s}}
"""


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "costs.yaml"
    path.write_text(FILE, encoding="utf-8")
    return score_costs(load_rows(path))


def row(kind="file_size", model="Llama-3.1-8B", measured=1.0, unit="GB", **rest):
    return Row(kind=kind, model=model, measured=measured, unit=unit, **rest)


def test_the_figures_keep_their_targets(scores):
    document = json.loads(json.dumps(scores.to_json()))
    assert document["schema"] == 1
    assert document["file_size"]["median"] <= 0.02
    assert document["file_size"]["worst"] <= 0.05
    assert document["peak_memory"]["median"] <= 0.15
    assert document["peak_memory"]["rows"] == 2
    assert document["decode"]["median_abs_ln"] <= 0.25
    assert document["decode"]["kendall_tau"] == document["decode"]["groups"]["Llama-3.1-8B on some device"] == 1
    assert document["prefill"]["median_abs_ln"] < 0.1
    assert document["train_speed"]["median_abs_ln"] < 0.5
    assert document["false_fits"] == 0


def test_every_row_is_listed_with_its_prediction_or_its_reason(scores):
    assert len(scores.rows) == FILE.count("- {kind")
    reasons = {(r.row.kind, r.row.words): r.reason for r in scores.rows if not r.counts}
    assert len(reasons) == 8
    assert "fitted" in reasons["decode", "some device, F16 tg128"]
    assert "fitted" in reasons["prefill", "some device, F16 pp512"]
    assert "Nobody-7B" in reasons["file_size", "any, Q8_0"]
    assert "colour" in reasons["colour", "any, bf16"]
    assert "precision" in reasons["file_size", "any, in gold"]
    assert "furlongs" in reasons["file_size", "any, bf16"]
    assert "several" in reasons["decode", "4x A100, bf16"]
    assert "no device" in reasons["decode", "a toaster, int8"]


def test_a_fitted_device_explains_the_row_it_is_fitted_from(scores):
    used = [r for r in scores.rows if "fitted" in r.reason]
    for r in used:
        assert r.predicted == pytest.approx(r.measured, rel=1e-6)


def test_predictions_move_with_what_a_row_says():
    def predicted(**conditions):
        (scored,) = score_costs([row("decode", unit="tokens/s", **conditions)], []).rows
        return scored.predicted

    long, short = (predicted(hardware="A100 vLLM", config=f"bf16 ctx {n}", source=QWEN) for n in (30_720, 1024))
    assert long < 0.9 * short
    assert predicted(hardware="H100", config="bf16") > 1.3 * predicted(hardware="A100", config="bf16")
    assert predicted(hardware="A100 bs8", config="bf16") > 4 * predicted(hardware="A100 bs1", config="bf16")
    assert predicted(hardware="A100, HF transformers", config="bf16") < predicted(hardware="A100", config="bf16")


@pytest.mark.parametrize(
    ("config", "precision"),
    [
        ("int8wo", "torchao-int8"),
        ("int4wo-64", "torchao-int4-g64"),
        ("int4 g32", "torchao-int4-g32"),
        ("int8dq", "torchao-int8-dynamic"),
    ],
)
def test_libraries_that_quantize_the_head_are_told_by_their_source(config, precision):
    (scored,) = score_costs([row("linear_weight_bytes", config=config, source="pytorch/ao README")], []).rows
    assert scored.predicted == costs.read_bytes(costs.model_shape("Llama-3.1-8B"), precision)


def test_a_card_with_room_recomputes_nothing():
    def peak(card):
        config = f"lora, {card}"
        (scored,) = score_costs([row("train_peak_mem", config=config, source=TUNE)], []).rows
        return scored.predicted

    assert peak("A6000") > peak("4090") + 10e9


def test_there_are_ten_cases_and_more_and_none_fits():
    cases = out_of_memory_cases()
    assert len(cases) >= 10
    assert all(case.source and case.kind in PEAKS for case in cases)
    judged = score_costs([row(config="Q8_0")]).cases
    assert [j.case.config for j in judged if j.fits] == []
    # they are no hollow victories: some miss by less than half
    assert sum(j.peak < 1.5 * j.memory for j in judged) >= 6


def test_false_fits_can_fail():
    easy = Case(
        kind="peak_mem", model="SmolLM2-135M", hardware="A100", config="bf16", measured="derived", source="a lie"
    )  # fmt: skip
    assert score_costs([row(config="Q8_0")], [easy]).false_fits == 1
    small = row("peak_mem", measured=10, hardware="A100", config="bf16")  # weights alone take 16 GB
    refused = score_costs([small], [])
    assert refused.false_fits == 1
    assert refused.refused[0].predicted > ROOM * 10e9
    assert refused.to_json()["fits"]["peaks_refused"][0]["model"] == "Llama-3.1-8B"


def test_without_rows_of_a_kind_its_figures_are_null():
    document = score_costs([row(config="Q8_0", measured=8.5)], []).to_json()
    assert document["decode"] == {"median_abs_ln": None, "kendall_tau": None, "groups": {}}
    assert document["peak_memory"]["median"] is None
    assert document["file_size"]["rows"] == 1


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_the_rank_correlation_is_scipys(pairs):
    first, second = zip(*pairs, strict=True)
    expected = kendalltau(first, second).statistic
    assert kendall_tau(first, second) == pytest.approx(0.0 if math.isnan(expected) else expected)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("measured: []", "measured"),
        ("constants: []", "measured"),
        ("measured:\n- {kind: decode, model: m, unit: GB, measured: -1}", "greater than 0"),
        ("measured:\n- {kind: decode, model: m, unit: GB}", "measured"),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_line(tmp_path, text, told):
    path = tmp_path / "costs.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=told) as caught:
        load_rows(path)
    assert "costs.yaml:" in str(caught.value)


def test_a_missing_file_is_one_line_and_one_remedy(tmp_path):
    with pytest.raises(InputError) as caught:
        load_rows(tmp_path / "none.yaml")
    assert caught.value.hint
