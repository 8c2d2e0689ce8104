"""How well costs are foretold on a GPU: plans on models of real shapes, each step predicted beside measured.

    python tests/benchmarks/gpu.py FOLDER [--shapes 135m,1.7b] [--plans tune,distill,tune+quantize]

Needs a GPU and no network: the models have the shapes of published ones (``SHAPES``) and random weights, so their
answers mean nothing and never end early, while every product, byte and second is that of the real model. Prints JSON
lines: the machine, and each run as it ends, with its steps and its answers, predicted and measured. Only the first run
of a shape is foretold without calibration; what it would be for the others stands under ``raw``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kistack.bundle.workspace import Workspace
from kistack.domain.plan import Plan
from kistack.domain.records import RunRecord
from kistack.errors import Cancelled, KistackError

#: layers, hidden, heads, key-value heads, feed-forward. Sources: the config.json of SmolLM2-135M, SmolLM2-1.7B and
#: Llama-3.2-3B. The vocabulary of all is SmolLM2's 49,152.
SHAPES = {
    "tiny": (2, 64, 4, 2, 128),  # to try this script without a GPU
    "135m": (30, 576, 9, 3, 1536),
    "1.7b": (24, 2048, 32, 32, 8192),
    "3b": (28, 3072, 24, 8, 8192),
}
VOCABULARY = 49_152

PLANS = {
    "tune": ["tune/lora"],
    "distill": ["distill/response"],
    "tune+quantize": ["tune/lora", "quantize/gguf"],
    "distill+tune": ["distill/response", "tune/lora"],
}
EPOCHS = {"tune/lora": {"epochs": 1}, "distill/response": {"epochs": 1}}

SCENARIO = """\
schema: 1
name: gpu-{name}
task: {{kind: facts, metric: contained}}
knowledge:
  corpus: {{path: documents, licence: CC0-1.0}}
  pairs: pairs.jsonl
  split: {{by: declared}}
  changes: 1%/day
models: {{base: {model}, teacher: {model}}}
"""


def write_model(folder: Path, shape: str) -> Path:
    """A llama of random weights of that shape, in bf16, with a byte-level tokenizer."""
    import torch
    from kistack_torch.models import save_model
    from kistack_torch.testing import tiny_tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM

    layers, hidden, heads, kv_heads, ffn = SHAPES[shape]
    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=ffn,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    save_model(model.cpu(), tokenizer, folder)
    (folder / "LICENSE").write_text("Public domain.\n")
    return folder


def write_project(root: Path, model: Path, *, train: int, test: int) -> Path:
    """Documents of one sentence, and as many pairs as asked for with about a hundred words of question."""
    (root / "documents").mkdir(parents=True)
    rows = []
    for n in range(train + test):
        fact = f"Valve {n} of the plant is rated for {100 + 7 * n % 900} bar."
        (root / "documents" / f"valve-{n}.md").write_text(fact + "\n")
        told = " ".join(f"Valve {(n * 31 + k) % 997} stands in hall {k}." for k in range(8))
        rows.append(
            {
                "id": f"q{n}",
                "question": f"{told} For how many bar is valve {n} rated?",
                "answer": f"{100 + 7 * n % 900} bar",
                "gold": [f"valve-{n}.md"],
                "group": f"v{n}",
                "split": "train" if n < train else "test",
            }
        )
    (root / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "kistack.yaml").write_text(SCENARIO.format(name=root.name, model=model))
    return root


def told(record: RunRecord, elapsed: float) -> dict[str, object]:
    """The steps of a run and what it told of serving, predicted and measured."""
    names = ("seconds", "peak_bytes", "host_bytes", "bytes")
    steps = [
        {
            "use": s.use,
            "predicted": {n: s.predicted[n] for n in names if n in s.predicted},
            "raw": {n: s.raw[n] for n in names if n in s.raw},
            "measured": {n: s.measured[n] for n in names if n in s.measured},
        }
        for s in record.steps
        if s.status == "done"
    ]
    answers = {name: {n: m.value for n, m in s.metrics.items()} for name, s in record.systems.items()}
    return {
        "status": record.status,
        "seconds": round(elapsed, 1),
        "steps": steps,
        "systems": answers,
        "predicted": dict(record.predicted),
        "raw": dict(record.raw),
        "measured": dict(record.measured),
    }


def main() -> None:
    """Run the plans on the shapes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shapes", default="135m,1.7b")
    parser.add_argument("--plans", default="tune,distill,tune+quantize")
    parser.add_argument("--train", type=int, default=600)
    parser.add_argument("--test", type=int, default=48)
    given = parser.parse_args()
    for shape in given.shapes.split(","):
        model = write_model(given.folder / "models" / shape, shape)
        root = write_project(given.folder / f"desk-{shape}", model, train=given.train, test=given.test)
        place = Workspace.find(root)
        hardware = place.profile().section("hardware")
        _tell({"shape": shape, "hardware": {n: [f.value, f.source, f.why] for n, f in hardware.items()}})
        for name in given.plans.split(","):
            steps = [{"use": use, "with": EPOCHS.get(use, {})} for use in PLANS[name]]
            plan = Plan.model_validate({"steps": steps, "evaluate": ["evaluate/answers", "evaluate/speed"]})
            began = time.monotonic()
            try:
                record = place.run(place.compose(plan), over_limits=True)
            except Cancelled:
                return
            except KistackError as error:  # a finding, not the end
                _tell({"shape": shape, "plan": name, "error": str(error)})
            else:
                _tell({"shape": shape, "plan": name, **told(record, time.monotonic() - began)})


def _tell(document: dict[str, object]) -> None:
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    main()
