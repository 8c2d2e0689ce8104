from kistack.advisor.bench.calibration import LEAST_RUNS, CalibrationBench, Coverage
from kistack.reporting.benches import calibration_page
from kistack.reporting.terminal import as_text

KINDS = (
    Coverage("seconds", 7, 21, 0.81, 0.6931471805599453, 0.0953101798043249),
    Coverage("quality", 4, 4, 0.5, 16.0, 3.25),
    Coverage("bytes", 0, 0, None, None, None),
)


def row(text, kind):
    [line] = [r for r in text.splitlines() if r.strip().startswith(kind)]
    return line


def test_errors_are_factors_and_points():
    text = as_text(calibration_page(CalibrationBench(7, KINDS)), 200)
    assert all(part in row(text, "seconds") for part in ("81.0 %", "2.00x", "1.10x"))
    assert "too few" not in row(text, "seconds")
    assert all(part in row(text, "quality") for part in ("50.0 %", "16.0", "3.2", "too few runs"))
    assert "too few runs" in row(text, "bytes")
    assert "Too few runs to judge" not in text


def test_too_few_runs_are_said_first():
    text = as_text(calibration_page(CalibrationBench(1, KINDS[2:])), 200)
    assert f"Too few runs to judge intervals by: 1 run in the ledger, {LEAST_RUNS} are the least." in text
