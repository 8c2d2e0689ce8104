"""A small profile for tests: the facts that composing and advising read."""

from kistack.domain.facts import Fact, Profile


def small_profile(**changes):
    values = {
        "hardware.cores": 2,
        "hardware.isa": "avx2",
        "hardware.ram_total": 8e9,
        "hardware.ram_free": 6e9,
        "hardware.disk_free": 50e9,
        "hardware.bandwidth": 2e10,
        "hardware.flops_fp32": 1e11,
        "hardware.flops_bf16": 5e10,
        "hardware.gpus": 0,
        "hardware.gpu_free": 0,
        "hardware.fingerprint": "test-machine",
        "corpus.identity": "corpus-1",
        "corpus.documents": 4,
        "corpus.bytes": 400,
        "corpus.tokens": 100,
        "pairs.identity": "pairs-1",
        "items.identity": "items-1",
        "pairs.train": 40,
        "pairs.test": 10,
        "pairs.train_bytes": 4000,
        "pairs.test_bytes": 1000,
        "pairs.prompt_tokens": 30,
        "pairs.answer_tokens": 5,
        "model.reference": "toy:base",
        "model.source": "source/toy",
        "model.format": "toy",
        "model.identity": "toy:base",
        "model.params": 1000,
        "model.layers": 4,
        "model.bytes": 4000,
        "model.precision": "fp32",
        "model.family": "toy",
        "model.vocabulary": "toy",
        "scenario.task": "facts",
        "scenario.concurrency": 1,
    }
    values.update({f"serving.{n.partition('.')[2]}": v for n, v in values.items() if n.startswith("hardware.")})
    values.update({name.replace("__", "."): value for name, value in changes.items()})
    return Profile({n: Fact(v, "", "measured", "made for a test") for n, v in values.items() if v is not None})
