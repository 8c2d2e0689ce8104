"""GPUs: parsed from the driver's answer, chosen by visibility, memory never summed."""

import stat

import pytest

from kistack.profiling.cache import Cache
from kistack.profiling.gpus import Gpu, describe, gpu_facts, list_gpus, parse, visible

ANSWER = """\
0, GPU-aaaa-1, NVIDIA A100-SXM4-80GB, 81920, 40960
1, GPU-bbbb-2, NVIDIA A100-SXM4-80GB, 81920, 80000
2, GPU-cccc-3, NVIDIA GB10, [N/A], [N/A]
"""


def test_the_answer_is_parsed():
    first, second, third = parse(ANSWER + "\nnot a row\n")
    assert first == Gpu("0", "GPU-aaaa-1", "NVIDIA A100-SXM4-80GB", 81920 * 1024**2, 40960 * 1024**2)
    assert second.free == 80000 * 1024**2
    assert (third.name, third.total) == ("NVIDIA GB10", 0)


@pytest.mark.parametrize(
    ("selection", "indexes"),
    [
        (None, ["0", "1", "2"]),
        ("1", ["1"]),
        ("2,0", ["2", "0"]),
        ("GPU-bbbb", ["1"]),
        ("", []),
        ("-1", []),
        ("0,9,1", ["0"]),
    ],
)
def test_visibility(selection, indexes):
    assert [g.index for g in visible(parse(ANSWER), selection)] == indexes


def test_the_fullest_gpu_decides_and_data_sheets_give_its_speed():
    facts = describe(parse(ANSWER)[:2])
    assert facts["gpus"].value == 2
    assert facts["gpu_free"].value == 40960 * 1024**2
    assert facts["gpu_bandwidth"].value == 2039e9
    assert facts["gpu_flops_bf16"].value == 312e12
    assert facts["gpu_bandwidth"].source == "assumed"
    assert "data sheet" in facts["gpu_bandwidth"].why


@pytest.mark.parametrize(
    ("name", "bandwidth"),
    [
        ("NVIDIA H100 PCIe", 2000e9),
        ("NVIDIA H100 80GB HBM3", 3350e9),
        ("Tesla T4", 320e9),
        ("NVIDIA L40S", 864e9),
        ("NVIDIA L4", 300e9),
        ("NVIDIA A10G", 600e9),
        ("NVIDIA GeForce RTX 4090", 1008e9),
        ("NVIDIA T400", None),
        ("NVIDIA RTX A1000", None),
    ],
)
def test_only_known_gpus_have_a_speed(name, bandwidth):
    fact = describe([Gpu("0", "u", name, 1, 1)]).get("gpu_bandwidth")
    assert (fact.value if fact else None) == bandwidth


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A stand-in for the driver's tool that counts how often it is asked."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/asked\ncat <<'END'\n{ANSWER}END\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    return tmp_path


def test_the_driver_is_asked_once_in_a_while(driver):
    cache = Cache(driver / "cache")
    for now in (1000.0, 1100.0, 5000.0):
        assert gpu_facts(cache, now)["gpus"].value == 2
    assert (driver / "asked").read_text().count("asked") == 2


def test_a_driver_that_fails_means_no_gpu(driver):
    (driver / "bin" / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    assert list_gpus() == []
    assert describe([])["gpus"].value == 0


def test_no_driver(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list_gpus() == []
    assert gpu_facts(Cache(tmp_path), 0)["gpus"].why == "no NVIDIA driver found"
