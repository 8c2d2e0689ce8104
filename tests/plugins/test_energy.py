"""Energy counters: what they say, where they start again, and why there is no number."""

import pytest

from kistack.plugins.energy import EnergyMeter


def counter(root, name, value, most=1_000_000_000):
    zone = root / name
    zone.mkdir(exist_ok=True)
    (zone / "energy_uj").write_text(f"{value}\n")
    (zone / "max_energy_range_uj").write_text(f"{most}\n")
    return zone


def test_packages_are_summed_and_their_parts_are_not(tmp_path):
    counter(tmp_path, "intel-rapl:0", 5_000_000)
    counter(tmp_path, "intel-rapl:1", 1_000_000)
    counter(tmp_path, "intel-rapl:0:0", 1)
    counter(tmp_path, "intel-rapl-mmio:0", 1)
    meter = EnergyMeter(tmp_path)
    counter(tmp_path, "intel-rapl:0", 8_500_000)
    counter(tmp_path, "intel-rapl:1", 3_000_000)
    counter(tmp_path, "intel-rapl:0:0", 900_000_000)
    counter(tmp_path, "intel-rapl-mmio:0", 900_000_000)
    assert meter.joules() == pytest.approx(5.5)
    assert meter.unavailable == ""


def test_a_counter_that_started_again_goes_on_from_its_end(tmp_path):
    counter(tmp_path, "intel-rapl:0", 9_000_000, most=10_000_000)
    meter = EnergyMeter(tmp_path)
    counter(tmp_path, "intel-rapl:0", 2_000_000, most=10_000_000)
    assert meter.joules() == pytest.approx(3.0)


def test_a_machine_without_counters_says_so(tmp_path):
    for root in (tmp_path, tmp_path / "nowhere"):
        meter = EnergyMeter(root)
        assert meter.joules() is None
        assert "reports no energy" in meter.unavailable


def test_a_counter_that_holds_no_number_or_goes_away_is_told(tmp_path):
    zone = counter(tmp_path, "intel-rapl:0", "much")
    assert "no number" in EnergyMeter(tmp_path).unavailable
    counter(tmp_path, "intel-rapl:0", 1)
    meter = EnergyMeter(tmp_path)
    (zone / "energy_uj").unlink()
    assert meter.joules() is None
    assert "to the end" in meter.unavailable


def test_a_counter_that_must_not_be_read_says_so(tmp_path):
    zone = counter(tmp_path, "intel-rapl:0", 1)
    (zone / "energy_uj").unlink()
    (zone / "energy_uj").mkdir()  # also root cannot read it as a file
    assert "cannot be read" in EnergyMeter(tmp_path).unavailable
