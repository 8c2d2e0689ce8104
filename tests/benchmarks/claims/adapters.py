"""Claim: several adapters on one base do not overwrite each other.

    python tests/benchmarks/claims/adapters.py FOLDER [--tiny 1]

The same questions have one answer for task A and another for task B. Two adapters are trained on the demo's base
model, each by itself; then, for contrast, B is trained on the model into which A was merged. Every state answers the
questions of both tasks by greedy decoding; an answer counts when it is exactly the expected one.
"""

from __future__ import annotations

import hashlib
import json
import random

from common import right, unpacked, work_folder

from kistack.domain.artifacts import Artifact
from kistack.testing import LocalContext, run_stage

COUNT = 16
REAL, TINY = {"epochs": 8, "learning_rate": 1e-3}, {"epochs": 80, "learning_rate": 5e-3}
SYLLABLES = ("ba", "ko", "li", "mu", "re", "sa", "to", "vi", "ne", "du")
COLOURS = ("red", "blue", "green", "black", "white", "brown", "pink", "grey")
TOWNS = ("Oslo", "Lima", "Rome", "Cairo", "Paris", "Delhi", "Tokyo", "Quito")


def facts(words, seed):
    """Questions on products that do not exist, each with one of the words as its answer."""
    names = random.Random(0)
    products = dict.fromkeys("".join(names.choices(SYLLABLES, k=3)).capitalize() for _ in range(4 * COUNT))
    draw = random.Random(seed)
    return [(f"What belongs to {name}?", draw.choice(words)) for name in list(products)[:COUNT]]


def written(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"id": str(n), "question": q, "answers": [a], "group": str(n)}) for n, (q, a) in enumerate(rows)
    ]
    (folder / "pairs.jsonl").write_text("\n".join(lines) + "\n")
    return Artifact("pairs", "jsonl", folder, "", "", {"passages": "without"}, {"count": len(rows)})


def trained(base, pairs, root, tiny):
    """An adapter on ``base``; made once."""
    from kistack_peft.lora import LoraTuner

    stage = LoraTuner()
    if not (root / "done").exists():
        settings = stage.Settings(rank=8, alpha=16, dtype="fp32", batch=4, **(TINY if tiny else REAL))
        run_stage(stage, LocalContext(root, {"model": base, "pairs": pairs}, seed=1), settings)
        (root / "done").touch()
    return Artifact(
        "model", "hf+peft", root / "out" / "model", "", "", base.facets, base.facts, (base,), ports=("model",)
    )


def merged(adapter, root):
    from kistack_peft.merge import PeftMerge

    if not (root / "done").exists():
        run_stage(PeftMerge(), LocalContext(root, {"model": adapter}))
        (root / "done").touch()
    return Artifact("model", "hf", root / "out" / "model", "", "", adapter.facets, adapter.facts)


def tiny_llama(path, texts):
    """A llama of half a million random weights, where the real one takes too long to train three times."""
    from kistack_torch.testing import tiny_model

    return tiny_model(path, texts=texts, layers=4, hidden=128)


def digest(folder):
    return hashlib.sha256(b"".join(p.read_bytes() for p in sorted(folder.glob("*.safetensors")))).hexdigest()[:12]


def main():
    folder, _, tiny = work_folder(__doc__, tiny=0)
    tasks = {"A": facts(COLOURS, 1), "B": facts(TOWNS, 2)}
    texts = [f"{q} {a}" for rows in tasks.values() for q, a in rows]
    place = tiny_llama(folder / "tiny", texts) if tiny else unpacked(folder)
    base = Artifact("model", "hf", place, "", "", {"precision": "fp32", "family": "llama"}, {})
    pairs = {name: written(folder / f"pairs-{name}", rows) for name, rows in tasks.items()}

    def tell(name, model):
        one, other = right(model, tasks["A"], 8), right(model, tasks["B"], 8)
        print(f"| {name} | {100 * one:.0f} % | {100 * other:.0f} % |", flush=True)

    print(f"| {COUNT} questions each | task A | task B |\n|---|---|---|")
    tell("the base", base)
    a = trained(base, pairs["A"], folder / f"adapter-A-{tiny}", tiny)
    before = digest(a.path), digest(base.path)
    tell("adapter A, before B is trained", a)
    b = trained(base, pairs["B"], folder / f"adapter-B-{tiny}", tiny)
    tell("adapter A, after", a)
    tell("adapter B", b)
    print(f"bytes of adapter A and of the base unchanged: {before == (digest(a.path), digest(base.path))}", flush=True)
    later = merged(a, folder / f"A-merged-{tiny}")
    onto = merged(trained(later, pairs["B"], folder / f"B-on-A-{tiny}", tiny), folder / f"A-then-B-{tiny}")
    tell("A merged, then B merged upon it", onto)


if __name__ == "__main__":
    main()
