"""Other machines: stated, exported, or partly both; what is not known stays unknown or says what was assumed."""

import json

import pytest

from kistack.domain.facts import measured
from kistack.domain.machine import Device
from kistack.profiling.targets import machine_facts

THIS = {
    "cores": measured(2, "counted"),
    "isa": measured("avx2,bf16", "flags"),
    "ram_total": measured(16_000, "seen", "B"),
    "ram_free": measured(8_000, "seen", "B"),
    "disk_free": measured(99, "seen", "B"),
    "bandwidth": measured(50e9, "copied", "B/s"),
    "flops_fp32": measured(160e9, "multiplied", "FLOP/s"),
    "flops_bf16": measured(400e9, "multiplied", "FLOP/s"),
    "gpus": measured(0, "none"),
    "platform": measured("linux-x86_64", "cpu"),
    "fingerprint": measured("abc", "hash"),
}


def facts(**stated):
    return machine_facts(Device.model_validate(stated), THIS, "serve_on")


def test_this_machine_is_this_machine():
    assert machine_facts(Device.model_validate("this"), THIS, "serve_on") == THIS


def test_stated_facts_are_declared_and_memory_not_stated_is_unknown():
    found = facts(cores=4, disk="50GB", isa=["avx2"])
    assert found["cores"].value == 4
    assert found["cores"].source == "declared"
    assert found["disk_free"].value == 50e9
    assert found["isa"].value == "avx2"
    assert "ram_free" not in found
    assert found["flops_fp32"].value == 320e9
    assert found["flops_fp32"].source == "assumed"
    assert "times 2 for its cores" in found["flops_fp32"].why
    assert found["bandwidth"].value == 50e9
    assert found["gpus"].value == 0
    assert found["fingerprint"].value != "abc"


def test_a_stated_memory_leaves_room_for_the_system():
    assert facts(ram="10GB")["ram_free"].value == 8e9
    assert facts(ram="10GB")["ram_free"].source == "assumed"
    assert facts(ram="10GB", ram_free="9GB")["ram_free"].value == 9e9


@pytest.mark.parametrize(("isa", "bf16"), [(["avx2"], 50e9), (["avx512", "bf16"], 200e9)])
def test_bf16_follows_the_stated_throughput_and_instructions(isa, bf16):
    assert facts(flops_fp32="100 GFLOP/s", isa=isa)["flops_bf16"].value == bf16


def test_gpus_are_stated_each():
    found = facts(gpus=2, gpu_memory="24GiB", bandwidth="900 GB/s")
    assert (found["gpus"].value, found["gpu_free"].value) == (2, 24 * 1024**3)
    assert found["bandwidth"].source == "declared"


def test_a_machine_without_gpu_takes_no_speed_from_one_with():
    with_gpu = {**THIS, "gpus": measured(1, "A100"), "gpu_free": measured(80e9, "free", "B")}
    found = machine_facts(Device(cores=4), with_gpu, "serve_on")
    assert found["gpus"].value == 0
    assert "bandwidth" not in found
    own = {"cpu_bandwidth": measured(2e10, "copying", "B/s"), "cpu_flops_fp32": measured(1e11, "numpy", "FLOP/s")}
    found = machine_facts(Device(cores=4), {**with_gpu, **own, "cores": measured(8, "")}, "serve_on")
    assert (found["bandwidth"].value, found["flops_fp32"].value) == (2e10, 0.5e11)


def test_a_preset_whose_gpu_is_stated_away_keeps_no_speed_of_it():
    found = facts(preset="rtx-4090", gpus=0)
    assert not [name for name in found if name.startswith(("gpu_", "bandwidth", "flops", "cpu_"))]


def test_an_exported_machine_with_something_stated_over_it(tmp_path):
    path = tmp_path / "edge.json"
    document = {
        "schema": 1,
        "kind": "machine",
        "exported": "2024-07-01",
        "facts": {n: {"value": f.value, "unit": f.unit, "source": f.source, "why": f.why} for n, f in THIS.items()},
    }
    path.write_text(json.dumps(document))
    found = facts(profile=path, ram_free="1GB")
    assert found["ram_free"].value == 1e9
    assert found["bandwidth"].value == 50e9
    assert "exported on 2024-07-01 (edge.json)" in found["bandwidth"].why
