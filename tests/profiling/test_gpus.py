"""Facts of GPUs: one set for each, memory never summed, speeds from data sheets."""

import pytest

from kistack.domain.devices import presets
from kistack.profiling import gpus
from kistack.profiling.cache import Cache
from kistack.profiling.drivers import Gpu
from kistack.profiling.gpus import describe, gpu_facts

MIB = 1024**2
A100 = "NVIDIA A100-SXM4-80GB"
PAIR = [Gpu("0", "GPU-a", A100, 81920 * MIB, 40960 * MIB), Gpu("3", "GPU-b", A100, 81920 * MIB, 80000 * MIB)]


def test_each_gpu_is_a_fact_and_nothing_is_summed():
    facts = describe(PAIR)
    assert facts["gpus"].value == 2
    assert [facts[f"gpu{n}_name"].value for n in range(2)] == [A100, A100]
    assert [facts[f"gpu{n}_total"].value for n in range(2)] == [81920 * MIB] * 2
    assert [facts[f"gpu{n}_free"].value for n in range(2)] == [40960 * MIB, 80000 * MIB]
    assert "index 3, GPU-b" in facts["gpu1_name"].why
    sizes = [f.value for n, f in facts.items() if n.endswith(("_total", "_free"))]
    assert max(sizes) == 81920 * MIB


def test_the_fullest_gpu_decides_and_data_sheets_give_its_speed():
    facts = describe(PAIR)
    assert facts["gpu_free"].value == 40960 * MIB
    assert facts["gpu_total"].value == 81920 * MIB
    assert facts["gpu_bandwidth"].value == 2039e9
    assert facts["gpu_flops_bf16"].value == 312e12
    assert facts["gpu_flops_int8"].value == 624e12
    assert facts["gpu_bandwidth"].source == "assumed"
    assert "data sheet" in facts["gpu_bandwidth"].why


def test_free_memory_is_rounded_down():
    assert describe([Gpu("0", "u", "x", 9000 * MIB, 8000 * MIB + 7)])["gpu_free"].value == 8000 * MIB


def test_a_gpu_that_shares_the_memory_says_so():
    facts = describe([Gpu("0", "", "Apple M2 Pro", 16 * 1024 * MIB, 10 * 1024 * MIB, unified=True)])
    assert "shares" in facts["gpu0_free"].why
    assert facts["gpu_bandwidth"].value == 200e9


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
        ("AMD Instinct MI300X OAM", 5300e9),
        ("Apple M4 Pro", 273e9),
        ("NVIDIA T400", None),
        ("NVIDIA RTX A1000", None),
    ],
)
def test_only_known_gpus_have_a_speed(name, bandwidth):
    fact = describe([Gpu("0", "u", name, 1, 1)]).get("gpu_bandwidth")
    assert (fact.value if fact else None) == bandwidth


@pytest.mark.parametrize(
    ("preset", "name"),
    [
        ("t4", "Tesla T4"),
        ("l4", "NVIDIA L4"),
        ("a10g", "NVIDIA A10G"),
        ("rtx-3090", "NVIDIA GeForce RTX 3090"),
        ("rtx-4090", "NVIDIA GeForce RTX 4090"),
        ("l40s", "NVIDIA L40S"),
        ("v100-32", "Tesla V100-SXM2-32GB"),
        ("a100-40", "NVIDIA A100-SXM4-40GB"),
        ("a100-80", A100),
        ("h100-80", "NVIDIA H100 80GB HBM3"),
        ("apple-m2", "Apple M2"),
        ("apple-m4-pro", "Apple M4 Pro"),
    ],
)
def test_a_gpu_found_here_and_its_preset_agree(preset, name):
    facts = describe([Gpu("0", "u", name, 1, 1)])
    for fact in ("bandwidth", "flops_fp32", "flops_bf16", "flops_int8"):
        if f"gpu_{fact}" in facts:
            assert facts[f"gpu_{fact}"].value == getattr(presets()[preset], fact), fact


def test_the_driver_is_asked_once_in_a_while(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(gpus, "has_driver", lambda: True)
    monkeypatch.setattr(gpus, "list_gpus", lambda: asked.append(1) or PAIR)
    cache = Cache(tmp_path / "cache")
    for now in (1000.0, 1100.0, 5000.0):
        assert gpu_facts(cache, now)["gpus"].value == 2
    assert len(asked) == 2
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "0")
    gpu_facts(cache, 5000.0)
    assert len(asked) == 3, "another selection is another answer"


def test_no_driver(tmp_path, monkeypatch):
    monkeypatch.setattr(gpus, "has_driver", lambda: False)
    assert gpu_facts(Cache(tmp_path), 0)["gpus"].why == "no driver of a GPU found"
    assert describe([])["gpus"].value == 0
