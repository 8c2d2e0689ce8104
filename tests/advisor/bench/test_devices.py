import pytest

from kistack.advisor.bench.devices import find_device


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("A100 bs1", "a100-80"),
        ("A100-80 vLLM bs1 ctx~1k", "a100-80"),
        ("A100 40GB", "a100-40"),
        ("full ft low-mem, 4090", "rtx-4090"),
        ("NVIDIA RTX 4090", "rtx-4090"),
        ("lora, A6000", "rtx-a6000"),
        ("Raspberry Pi 5, 4 threads", "raspberry-pi-5"),
        ("Jetson Orin", "jetson-agx-orin"),
        ("T4", "t4"),
    ],
)
def test_devices_are_found_by_the_names_sources_use(text, name):
    assert find_device(text).name == name


@pytest.mark.parametrize("text", ["any", "one unnamed device", "cpu", "ctx 4096", "14090 rows", "Qwen2.5-t400"])
def test_no_device_is_read_into_other_words(text):
    assert find_device(text) is None


def test_a_devices_memory_is_all_it_has():
    device = find_device("RTX 4090")
    assert device.memory == device.machine.gpu_free == pytest.approx(24 * 2**30, rel=0.01)
    assert find_device("Raspberry Pi 5").memory == pytest.approx(8.4e9)
