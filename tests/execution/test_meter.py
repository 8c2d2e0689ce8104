import os
import subprocess
import sys
import time

import pytest

from kistack.execution import meter
from kistack.execution.meter import PeakMemory, available_threads, out_of_memory_kills, tree_usage
from kistack.plugins import memory

SIZE = 60 << 20


def eat():
    block = bytearray(SIZE)
    block[::4096] = b"x" * len(block[::4096])
    return len(block)


@pytest.mark.parametrize("kernel", [True, False])
def test_the_peak_is_of_what_happened_between(monkeypatch, kernel):
    if not kernel:
        monkeypatch.setattr(meter, "_reset_high_water", lambda: False)
        monkeypatch.setattr(meter, "_SAMPLE_SECONDS", 0.001)
    eat()
    with PeakMemory() as quiet:
        pass
    with PeakMemory() as loud:
        block = bytearray(SIZE)
        block[::4096] = b"x" * len(block[::4096])
        time.sleep(0.05)
        del block
    assert quiet.bytes > 0
    assert loud.bytes - quiet.bytes > 0.8 * SIZE


def test_a_system_that_does_not_say_is_no_error(monkeypatch, tmp_path):
    for name in ("_CLEAR_REFS", "_CPU_MAX", "_VMSTAT"):
        monkeypatch.setattr(meter, name, tmp_path / "none" / "none")
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "none")
    assert not meter._reset_high_water()
    assert meter._quota() > 1000
    assert out_of_memory_kills() == 0
    with PeakMemory() as peak:
        pass
    assert peak.bytes > 0


def test_threads_are_the_cores_that_may_be_used(monkeypatch, tmp_path):
    count = available_threads()
    assert 1 <= count <= (os.cpu_count() or 1)
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    monkeypatch.setattr(meter, "_CPU_MAX", tmp_path / "cpu.max")
    assert meter._quota() == 2
    (tmp_path / "cpu.max").write_text("10000 100000\n")
    assert available_threads() == 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert available_threads() >= 1


def test_kills_are_read_from_the_kernels_count(monkeypatch, tmp_path):
    (tmp_path / "vmstat").write_text("nr_free 1\noom_kill 4\n")
    monkeypatch.setattr(meter, "_VMSTAT", tmp_path / "vmstat")
    assert out_of_memory_kills() == 4
    (tmp_path / "vmstat").write_text("nr_free 1\n")
    assert out_of_memory_kills() == 0


def test_the_use_of_children_counts():
    before = tree_usage(os.getpid())
    code = (
        "import time; b = bytearray(30 << 20); b[::4096] = b'x' * len(b[::4096]); print(1, flush=True); time.sleep(30)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        during = tree_usage(os.getpid())
        child.kill()
    assert during.child_bytes - before.child_bytes > 30 << 20
    assert during.cpu_seconds >= before.cpu_seconds
    assert tree_usage(2**22 + 1) is None
