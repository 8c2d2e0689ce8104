"""What a process held at once, on a machine without GPUs and on an imitated one with two."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from kistack.plugins import memory

MIB = 1024**2


class Cuda:
    """The counters of ``torch.cuda``, for two GPUs."""

    def __init__(self):
        self.held, self.peak, self.ready = [0, 0], [0, 0], True

    def take(self, device, size):
        self.held[device] += size
        self.peak[device] = max(self.peak[device], self.held[device])

    def is_initialized(self):
        return self.ready

    def device_count(self):
        return 2

    def memory_allocated(self, device):
        return self.held[device]

    def max_memory_allocated(self, device):
        return self.peak[device]

    def reset_peak_memory_stats(self, device):
        self.peak[device] = self.held[device]


@pytest.fixture
def cuda(monkeypatch):
    made = Cuda()
    monkeypatch.setattr(memory, "_HELD", {})
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=made))
    return made


def test_the_resident_peak_is_of_this_process_and_in_bytes():
    code = (
        "from kistack.plugins.memory import resident_peak_bytes as peak\n"
        f"before = peak(); block = bytearray({64 * MIB}); block[::4096] = b'x' * len(block[::4096])\n"
        f"print(before + {32 * MIB} < peak() < {1024 * MIB})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_the_fullest_gpu_counts_and_what_an_earlier_step_held_does_not(cuda):
    cuda.take(0, 20)
    cuda.take(0, 500)
    cuda.take(0, -500)
    memory.reset_gpu_peak()
    assert memory.gpu_peak_bytes() == 0  # 20 are still held, but not by this step
    cuda.take(1, 70)
    cuda.take(1, -70)
    assert memory.gpu_peak_bytes() == 70
    cuda.take(0, 100)
    assert memory.gpu_peak_bytes() == 120


def test_without_a_gpu_or_before_one_is_used_there_is_no_peak(cuda, monkeypatch):
    cuda.take(0, 100)
    cuda.ready = False
    assert memory.gpu_peak_bytes() == 0
    memory.reset_gpu_peak()
    monkeypatch.delitem(sys.modules, "torch")
    assert memory.gpu_peak_bytes() == 0
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())  # half imported
    assert memory.gpu_peak_bytes() == 0


def test_a_system_that_does_not_say_is_asked_for_the_whole_life_of_the_process(monkeypatch, tmp_path):
    assert memory.high_water_bytes() > MIB
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "none")
    assert memory.high_water_bytes() == 0
    assert memory.resident_peak_bytes() > MIB
