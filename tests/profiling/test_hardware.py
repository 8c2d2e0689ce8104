"""The machine as its system describes it: containers' limits, instruction sets, speeds measured once."""

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from kistack.domain.facts import measured
from kistack.errors import InputError
from kistack.profiling import hardware, speed
from kistack.profiling.cache import Cache
from kistack.profiling.hardware import System, export_machine, probe, read_machine

GIB = 1024**3


@pytest.fixture
def system(tmp_path):
    proc, cgroup = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    cgroup.mkdir()
    return System(proc, cgroup)


@pytest.fixture
def machine(monkeypatch):
    """Eight cores, 32 GiB of memory of which 20 are available."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=32 * GIB, available=20 * GIB))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_limits_the_system_counts(system, machine):
    assert hardware.cores(system).value == 8
    facts = hardware.memory(system)
    assert (facts["ram_total"].value, facts["ram_free"].value) == (32 * GIB, 20 * GIB)


def test_limits_of_a_control_group_count_wherever_they_are_set(system, machine):
    write(system.proc / "self/cgroup", "0::/slice/job\n")
    write(system.cgroup / "slice/job/cpu.max", "max 100000")
    write(system.cgroup / "slice/cpu.max", "250000 100000")
    write(system.cgroup / "slice/job/memory.max", str(4 * GIB))
    write(system.cgroup / "slice/memory.max", "max")
    write(system.cgroup / "slice/job/memory.current", str(3 * GIB))
    write(system.cgroup / "slice/job/memory.stat", f"anon 5\ninactive_file {GIB}\n")
    cores = hardware.cores(system)
    assert cores.value == 2
    assert "quota of 2.5 cores (8 visible)" in cores.why
    facts = hardware.memory(system)
    assert (facts["ram_total"].value, facts["ram_free"].value) == (4 * GIB, 2 * GIB)
    assert "control group" in facts["ram_total"].why


def test_a_container_sees_its_limits_at_the_root(system, machine):
    write(system.proc / "self/cgroup", "0::/not/visible/here\n")
    write(system.cgroup / "cpu.max", "50000 100000")
    assert hardware.cores(system).value == 1


def test_version_1_control_groups(system, machine):
    write(system.proc / "self/cgroup", "5:cpu,cpuacct:/job\n9:memory:/job\n0::/\n")
    write(system.cgroup / "cpu,cpuacct/job/cpu.cfs_quota_us", "400000")
    write(system.cgroup / "cpu,cpuacct/job/cpu.cfs_period_us", "100000")
    write(system.cgroup / "memory/job/memory.limit_in_bytes", str(2 * GIB))
    write(system.cgroup / "memory/job/memory.usage_in_bytes", str(GIB))
    assert hardware.cores(system).value == 4
    assert hardware.memory(system)["ram_free"].value == GIB


def test_a_quota_of_minus_one_is_none(system, machine):
    write(system.proc / "self/cgroup", "5:cpu:/job\n")
    write(system.cgroup / "cpu/job/cpu.cfs_quota_us", "-1")
    write(system.cgroup / "cpu/job/cpu.cfs_period_us", "100000")
    assert hardware.cores(system).value == 8


@pytest.mark.parametrize(
    ("cpuinfo", "names"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_vnni avx512_bf16 amx_tile", "avx2,avx512,vnni,bf16,amx"),
        ("flags : sse4_2 avx avx2 avx_vnni", "avx2,vnni"),
        ("Features\t: fp asimd bf16 sve", "bf16,neon,sve"),
        ("flags : fpu sse2", ""),
    ],
)
def test_instruction_sets(system, cpuinfo, names):
    write(system.proc / "cpuinfo", f"processor : 0\nmodel name : Some CPU\n{cpuinfo}\n")
    assert hardware.instruction_sets(system).value == names
    assert hardware.processor(system) == "Some CPU"


def test_instruction_sets_without_cpuinfo(system, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert hardware.instruction_sets(system).value == "neon"
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert hardware.instruction_sets(system).value == ""


@pytest.mark.parametrize(
    ("isa", "gain"), [("avx2,avx512,bf16", 2.0), ("avx2,amx", 2.5), ("avx2,avx512", 0.5), ("", 0.5)]
)
def test_bf16_is_assumed_by_instruction_set(isa, gain):
    fact = hardware.bf16_flops(isa, 100e9)
    assert (fact.value, fact.source) == (gain * 100e9, "assumed")


def test_disk_of_a_folder_that_does_not_exist_yet(tmp_path):
    assert hardware.disk(tmp_path / "a" / "b").value == hardware.disk(tmp_path).value > 0


def test_the_real_machine_is_measured_in_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(hardware, "_COPIED", 8 * 1024**2)
    cache = Cache(tmp_path / "cache")
    monkeypatch.setattr(hardware, "gpu_facts", lambda *_a: {"gpus": measured(0, "none")})
    facts = probe(tmp_path, cache)
    assert 1e8 < facts["bandwidth"].value < 1e13
    assert 1e8 < facts["flops_fp32"].value < 1e15
    assert facts["bandwidth"].source == "measured"
    assert "measured without OPENBLAS_CORETYPE" in facts["flops_fp32"].why
    assert facts["gpus"].value == 0
    assert set(facts) >= {"cores", "isa", "ram_total", "ram_free", "disk_free", "platform", "fingerprint", "flops_bf16"}
    monkeypatch.setattr(subprocess, "run", lambda *_a, **_k: pytest.fail("measured again"))
    monkeypatch.setattr(hardware, "_load", lambda _count: 9.0)
    again = probe(tmp_path, cache)
    assert again["bandwidth"] == facts["bandwidth"]


def test_beside_a_gpu_the_processors_own_speed_is_measured_too(tmp_path, monkeypatch):
    fake_speed(monkeypatch, 3e10, 0.0)
    cache = Cache(tmp_path / "cache")
    monkeypatch.setattr(hardware, "gpu_facts", lambda *_a: {"gpus": measured(0, "none")})
    alone = probe(tmp_path, cache)
    card = {"gpus": measured(1, "H"), "gpu_free": measured(8e10, "free", "B")}
    speeds = {"gpu_bandwidth": measured(3e12, "sheet", "B/s"), "gpu_flops_fp32": measured(6e13, "sheet", "FLOP/s")}
    monkeypatch.setattr(hardware, "gpu_facts", lambda *_a: card | speeds)
    both = probe(tmp_path, cache)
    assert (both["bandwidth"].value, both["flops_fp32"].value) == (3e12, 6e13)
    assert both["cpu_bandwidth"].value == alone["bandwidth"].value == 3e10
    assert both["cpu_flops_bf16"].value == alone["flops_bf16"].value
    assert "gpu_bandwidth" not in both
    # of a card in no table nothing is known but the processor's figures
    monkeypatch.setattr(hardware, "gpu_facts", lambda *_a: dict(card))
    assert probe(tmp_path, cache)["bandwidth"].value == 3e10


def fake_speed(monkeypatch, bandwidth, load):
    answer = SimpleNamespace(stdout=json.dumps({"bandwidth": bandwidth, "flops_fp32": bandwidth}))
    monkeypatch.setattr(subprocess, "run", lambda *_a, **_k: answer)
    monkeypatch.setattr(hardware, "_load", lambda _count: load)


def test_a_measurement_on_a_busy_machine_is_repeated_when_it_is_idle(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    fake_speed(monkeypatch, 1e9, load=3.0)
    first = hardware.speed(cache, "k", 2, GIB)
    assert "(load 3.0 per core)" in first["bandwidth"].why
    fake_speed(monkeypatch, 5e9, load=3.0)
    assert hardware.speed(cache, "k", 2, GIB) == first, "still busy"
    fake_speed(monkeypatch, 5e9, load=0.0)
    assert hardware.speed(cache, "k", 2, GIB)["bandwidth"].value == 5e9
    fake_speed(monkeypatch, 9e9, load=0.0)
    assert hardware.speed(cache, "k", 2, GIB)["bandwidth"].value == 5e9, "measured in peace once"


def test_a_measurement_that_fails_is_assumed_and_says_why(tmp_path, monkeypatch):
    def fail(*_args, **_options):
        raise subprocess.TimeoutExpired("speed", 30)

    monkeypatch.setattr(subprocess, "run", fail)
    facts = hardware.speed(Cache(tmp_path), "k", 2, GIB)
    assert facts["bandwidth"].source == "assumed"
    assert "timed out" in facts["flops_fp32"].why


def test_rates_add_over_threads_by_the_time_each_computes():
    def prepare():
        def work():
            end = time.thread_time() + 0.01
            while time.thread_time() < end:
                pass
            time.sleep(0.02)  # waiting is not computing

        return work

    assert speed.rate(1, prepare, 1.0) == pytest.approx(100, rel=0.3)
    assert speed.rate(2, prepare, 1.0) == pytest.approx(200, rel=0.3)


def test_speed_prints_both_figures(capsys):
    speed.main(2, 1024**2)
    found = json.loads(capsys.readouterr().out)
    assert found["bandwidth"] > 1e8
    assert found["flops_fp32"] > 1e8


def test_speed_runs_as_a_script_without_shadowing_the_standard_library():
    done = subprocess.run(
        [sys.executable, "-P", speed.__file__, "1", "65536"], capture_output=True, check=True, text=True
    )
    assert json.loads(done.stdout)["bandwidth"] > 0


def test_an_exported_machine_reads_back(tmp_path, monkeypatch):
    facts = {"cores": measured(4, "counted"), "ram_free": measured(GIB, "seen", "B")}
    monkeypatch.setattr(hardware, "probe", lambda *_args: facts)
    path = export_machine(tmp_path / "edge.json")
    read = read_machine(path)
    assert {n: f.value for n, f in read.items()} == {"cores": 4, "ram_free": GIB}
    assert "exported on 2" in read["cores"].why
    assert "(edge.json)" in read["cores"].why
    with pytest.raises(InputError, match="no-such-folder"):
        export_machine(tmp_path / "no-such-folder" / "x.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"m\.json:1: this is not JSON"),
        ('{"kind": "machine",\n "facts": ', r"m\.json:2: this is not JSON"),
        ("a\0", r"m\.json:1: this is not JSON"),
        ("[]", "no exported machine"),
        ('{"kind": "other"}', "no exported machine"),
        ('{"kind": "machine", "schema": 9}', "schema 9"),
        ('{"kind": "machine", "schema": 1}', "no exported machine"),
        ('{"kind": "machine", "schema": 1, "facts": {"cores": {"x": 1}}}', "its facts are damaged"),
    ],
)
def test_other_files_are_no_machines(tmp_path, text, message):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_machine(tmp_path / "m.json")
    assert "kistack profile --export" in caught.value.hint or "export it again" in caught.value.hint
    (tmp_path / "m.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(InputError, match="not UTF-8"):
        read_machine(tmp_path / "m.json")
    with pytest.raises(InputError, match=r"gone\.json"):
        read_machine(tmp_path / "gone.json")
