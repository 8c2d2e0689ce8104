"""A tiny model and pairs for the tests of this plugin."""

import json

from kistack_torch.testing import tiny_model, tiny_tokenizer

from kistack.domain.artifacts import Artifact

FACTS = {"params": 24000, "layers": 2, "hidden": 32, "heads": 4, "kv_heads": 2, "head_dim": 8, "ffn": 64, "vocab": 320}
FACETS = {"precision": "fp32", "family": "llama", "vocabulary": "tiny"}


def write_pairs(folder, count=20, *, passages=True):
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(count):
        row = {
            "id": str(i),
            "question": f"Which version has product {i}?",
            "answers": [f"{i}.{i % 3}"],
            "group": f"g{i}",
        }
        if passages:
            row["passages"] = [
                {
                    "id": f"p{i}",
                    "text": f"Product {i} has version {i}.{i % 3}.",
                    "document": "d",
                    "title": "",
                    "score": 1,
                }
            ]
        rows.append(json.dumps(row))
    (folder / "pairs.jsonl").write_text("\n".join(rows) + "\n")
    facets = {"passages": "with" if passages else "without"}
    facts = {"count": count, "prompt_tokens": 90, "answer_tokens": 4}
    return Artifact("pairs", "jsonl", folder, "", f"pairs-{count}", facets, facts)


def write_model(folder, *, seed=0, precision="fp32"):
    tiny_model(folder, layers=2, seed=seed)
    if precision != "fp32":
        from kistack_torch.devices import DTYPES
        from kistack_torch.models import load_model, save_model

        save_model(load_model(folder, dtype=DTYPES[precision], device="cpu"), tiny_tokenizer(), folder)
    (folder / "LICENSE").write_text("as you like")
    return Artifact("model", "hf", folder, "", f"model-{seed}", {**FACETS, "precision": precision}, FACTS)


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}
