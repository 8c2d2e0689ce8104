"""A tiny teacher, pairs and recorded signals for the tests of this plugin."""

import json

from kistack_distill.settings import TopKSettings
from kistack_distill.signals import TopKSignals
from kistack_torch.testing import tiny_model

from kistack.domain.artifacts import Artifact
from kistack.testing.context import LocalContext, run_stage

FACTS = {"params": 43000, "layers": 4, "hidden": 32, "heads": 4, "kv_heads": 2, "head_dim": 8, "ffn": 64, "vocab": 320}
FACETS = {"precision": "fp32", "family": "llama", "vocabulary": "tiny"}


def write_pairs(folder, count=40, *, passages=True):
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(count):
        answer = f"{i}.{i % 3}"
        row = {"id": str(i), "question": f"Which version has {i}?", "answers": [answer], "group": f"g{i // 2}"}
        if passages:
            row["passages"] = [{"id": f"p{i}", "text": f"{i} has version {answer}.", "document": "d"}]
        rows.append(json.dumps(row))
    (folder / "pairs.jsonl").write_text("\n".join(rows) + "\n")
    facets = {"passages": "with" if passages else "without"}
    facts = {"count": count, "prompt_tokens": 90, "answer_tokens": 4}
    return Artifact("pairs", "jsonl", folder, "", f"pairs-{count}", facets, facts)


def write_model(folder, *, seed=0, layers=4):
    tiny_model(folder, layers=layers, seed=seed)
    (folder / "LICENSE").write_text("as you like")
    return Artifact("model", "hf", folder, "", f"model-{seed}", FACETS, {**FACTS, "layers": layers})


def record(root, teacher, pairs, settings=TopKSettings(dtype="fp32")):  # noqa: B008 - frozen
    return run_stage(TopKSignals(), LocalContext(root, {"teacher": teacher, "pairs": pairs}), settings)["signals"]


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}
