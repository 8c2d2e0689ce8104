"""The script that rebuilds the shipped table, on a small table of its own."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "make_release_table.py"


@pytest.fixture
def script(monkeypatch):
    spec = importlib.util.spec_from_file_location("make_release_table", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PRODUCTS", "alpha beta")
    return module


def rows_of(product, cycles, newest="3.20"):
    for cycle in cycles:
        yield (product, product.title(), cycle, "latest_patch", "2025-07-01", f"{cycle}.1")
        yield (product, product.title(), cycle, "latest_patch", "2026-08-22", f"{cycle}.2")
        yield (product, product.title(), cycle, "end_of_life", "2026-08-22", "2022-12-1")
    yield (product, product.title(), "", "newest_cycle", "2026-08-22", newest)


def build(script, tmp_path, monkeypatch, rows):
    source, target = tmp_path / "facts.csv", tmp_path / "releases.csv"
    with source.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["product", "title", "cycle", "fact", "as_of", "value"])
        writer.writerows(rows)
    monkeypatch.setattr(sys, "argv", ["script", str(source), "-o", str(target)])
    script.main()
    with target.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_cycles_are_taken_evenly_and_in_order(script, tmp_path, monkeypatch):
    rows = [*rows_of("alpha", [f"3.{n}" for n in range(20)]), *rows_of("beta", ["1.0", "1.1"])]
    table = build(script, tmp_path, monkeypatch, rows)
    alpha = list(dict.fromkeys(r["cycle"] for r in table if r["product"] == "alpha" and r["cycle"]))
    assert alpha == ["3.2", "3.6", "3.10", "3.14", "3.18"]
    assert [r["cycle"] for r in table if r["product"] == "beta"] == ["1.0", "1.0", "1.1", "1.1"]


def test_newest_cycle_for_every_second_product_and_only_if_dotted(script, tmp_path, monkeypatch):
    table = build(script, tmp_path, monkeypatch, [*rows_of("alpha", ["1.0"], "19"), *rows_of("beta", ["1.0"])])
    assert [r["product"] for r in table if r["fact"] == "newest_cycle"] == ["beta"]


def test_values_are_kept_by_date_and_dates_written_in_full(script, tmp_path, monkeypatch):
    table = build(script, tmp_path, monkeypatch, [*rows_of("alpha", ["1.0"]), *rows_of("beta", ["1.0"])])
    latest, end = table[0], table[1]
    assert (latest["2024-07-01"], latest["2025-07-01"], latest["2026-08-22"]) == ("", "1.0.1", "1.0.2")
    assert end["2026-08-22"] == "2022-12-01"


@pytest.mark.parametrize(
    ("key", "values", "telling"),
    [
        (("p", "1.0", "latest_patch"), {"2026-08-22": "1.0.3"}, True),
        (("p", "24.04", "latest_patch"), {"2026-08-22": "24.04"}, False),
        (("p", "1.0", "latest_patch"), {"2026-08-22": "1.0.3-rc1"}, False),
        (("p", "rhel-9", "end_of_life"), {"2026-08-22": "2030-01-01"}, False),
        (("p", "", "newest_cycle"), {"2026-08-22": "19"}, False),
    ],
)
def test_what_can_carry_a_question(script, key, values, telling):
    assert script.is_telling(key, values) is telling


def test_a_source_without_the_products_is_refused(script, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="no facts about beta"):
        build(script, tmp_path, monkeypatch, rows_of("alpha", ["1.0"]))
