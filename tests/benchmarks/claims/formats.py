"""Claims: int8 is 4 times smaller and about 2.9 times faster than fp32; distilling and quantizing compound.

    python tests/benchmarks/claims/formats.py FOLDER [--rounds 5] [--threads 1]

The demo's base model (SmolLM2-135M-Instruct) with all of its 30 layers, every second and every tenth, each written by
the plugin's exporter as fp32 and int8 (Q8_0), and answered by llama.cpp; beside it PyTorch's eager fp32. Speed does
not depend on what layers have learnt, so the students are not trained. All variants answer in each round, in turn. On a
busy machine processor time with one thread tells more than the wall clock. With several threads set
GOMP_SPINCOUNT=10000 and OMP_WAIT_POLICY=ACTIVE: PyTorch's threads are in the same process, and llama.cpp's would sleep
on their account.
"""

from __future__ import annotations

import random
import time
from unittest import mock

from common import prompts, ratios, spread, unpacked, work_folder

QUESTIONS = [f"What should one know about {t} before travelling there?" for t in ("Lisbon", "Oslo", "Kyoto", "Lima")]
NEW_TOKENS = 32
LAYERS = (1, 2, 10)


def write_students(folder, base):
    """Folders of the model with one in 1, 2, 10 of its layers."""
    from kistack_distill.students import shallow
    from kistack_torch.models import load_model, load_tokenizer, save_model

    found = {1: base}
    for step in LAYERS[1:]:
        place = found[step] = folder / f"every-{step}"
        if not (place / "config.json").exists():
            model = load_model(base, dtype=_fp32(), device="cpu")
            save_model(shallow(model, range(0, model.config.num_hidden_layers, step)), load_tokenizer(base), place)
    return found


def _fp32():
    import torch

    return torch.float32


def write_files(folder, students):
    """One file for each student and format, as the plugin exports them."""
    import gguf
    from kistack_gguf.export import export
    from kistack_gguf.kinds import KINDS, Kind

    whole = Kind("F32", 32.0, "fp32", "F32", 0.0, 1.0, 0.0)
    files = {}
    for step, source in students.items():
        for kind in (whole, KINDS["F16"], KINDS["Q8_0"]) if step == 1 else (whole, KINDS["Q8_0"]):
            path = files[step, kind.name] = folder / f"every-{step}-{kind.name}.gguf"
            if not path.exists():
                names = {f"MOSTLY_{n}": gguf.LlamaFileType[f"MOSTLY_{n}"] for n in ("F16", "Q8_0")}
                # The exporter offers no fp32, since F16 loses nothing that matters; here it is the reference.
                with mock.patch.object(gguf, "LlamaFileType", {**names, "MOSTLY_F32": gguf.LlamaFileType.ALL_F32}):
                    export(source, path, kind, lambda _done, _total: None)
    return files


def seconds_per_token(session):
    """Of wall clock and of this process's processors, prompts included; answers differ in length between formats."""
    wall, processors = time.perf_counter(), time.process_time()
    done = session.generate(prompts(QUESTIONS), max_new_tokens=NEW_TOKENS, batch=1)
    tokens = max(1, sum(c.new_tokens for c in done))
    return (time.perf_counter() - wall) / tokens, (time.process_time() - processors) / tokens


def measure(openers, rounds):
    """Seconds per token of each variant in each round; a first short answer is not counted."""
    times = {name: [] for name in openers}
    for number in range(rounds):
        order = list(openers)
        random.Random(number).shuffle(order)
        for name in order:
            session = openers[name]()
            try:
                session.generate(prompts(QUESTIONS[:1]), max_new_tokens=4, batch=1)
                times[name].append(seconds_per_token(session))
            finally:
                session.close()
    return times


def main():
    from kistack_gguf.session import LlamaCppSession
    from kistack_gguf.settings import LlamaCppSettings
    from kistack_transformers.runtime import TransformersRuntime

    from kistack.domain.artifacts import Artifact

    folder, rounds, threads = work_folder(__doc__, threads=0)
    base = unpacked(folder)
    files = write_files(folder, write_students(folder, base))
    runtime = TransformersRuntime()
    eager = runtime.Settings(dtype="fp32", device="cpu")
    openers = {key: lambda p=path: LlamaCppSession(p, LlamaCppSettings(threads=threads)) for key, path in files.items()}
    openers["eager", "F32"] = lambda: runtime.open(eager, Artifact("model", "hf", base, "", ""), {})
    found = measure(openers, rounds)
    sizes = {key: path.stat().st_size for key, path in files.items()}
    for place, clock in enumerate(("wall clock", "processor time")):
        print(f"\n{clock}, {rounds} rounds, threads {threads or 'all'}")
        show({key: [pair[place] for pair in times] for key, times in found.items()}, sizes)


def show(times, sizes):
    """A table of sizes and times, and whether the gains of fewer layers and of fewer bits multiply."""
    whole = times[1, "F32"]
    print("| variant | MB | times smaller | ms a token | times faster than fp32 |\n|---|---|---|---|---|")
    for key, values in times.items():
        size = sizes.get(key, sizes[1, "F32"])
        faster = spread(ratios(whole, values))
        print(f"| {key[0]} {key[1]} | {size / 1e6:.0f} | {sizes[1, 'F32'] / size:.2f} | "
              f"{spread([1000 * t for t in values])} | {faster} |")  # fmt: skip
    for step in LAYERS[1:]:
        both = ratios(whole, times[step, "Q8_0"])
        alone = [a * b for a, b in zip(ratios(whole, times[step, "F32"]), ratios(whole, times[1, "Q8_0"]), strict=True)]
        print(f"every {step}: both together over the product of each alone: {spread(ratios(both, alone))}")
    print(f"eager fp32 over llama.cpp int8: {spread(ratios(times['eager', 'F32'], times[1, 'Q8_0']))}")


if __name__ == "__main__":
    main()
