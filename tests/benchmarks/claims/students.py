"""Claim: a student keeps 95 % of its teacher at a tenth of its size.

    python tests/benchmarks/claims/students.py FOLDER [--rounds 3] [--codes 1]

On llamas made here, because the demo's base model cannot become ten times smaller by leaving layers out (weights.py).
A teacher of 0.9 million weights learns from pairs alone (``distill/response`` with ``alpha: 1`` on random weights);
then a student with a twelfth of its weights learns from the teacher, and one of the same shape from the pairs alone.
With ``--codes 1`` the answer is the code of the thing that is asked for, with ``--codes 2`` that of its place and that
of the thing; asked are combinations that no training pair holds. Each round has other weights and codes.
"""

from __future__ import annotations

import json
import random
import statistics

from common import right, spread, work_folder

from kistack.domain.artifacts import Artifact
from kistack.testing import LocalContext, run_stage

PLACES = ("north", "south", "east", "west", "upper", "lower", "inner", "outer", "old", "new", "great", "small")
THINGS = ("gate", "bridge", "tower", "market", "harbour", "garden", "mill", "bakery", "school", "inn", "well", "hall")
TEACHER, STUDENT = {"layers": 6, "hidden": 128}, {"layers": 3, "hidden": 48}
TRAINED = 100
EPOCHS = {1: 12, 2: 40}


def task(seed, count):
    """Training and held-out pairs."""
    draw = random.Random(seed)
    codes = {w: f"{draw.randrange(10, 100)}" for w in (*PLACES, *THINGS)}
    asked = [(p, t) for p in PLACES for t in THINGS]
    pairs = [(f"Which code has the {p} {t}?", " ".join(codes[w] for w in (p, t)[-count:])) for p, t in asked]
    draw.shuffle(pairs)
    return pairs[:TRAINED], pairs[TRAINED:]


def written(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"id": str(n), "question": q, "answers": [a], "group": str(n)}) for n, (q, a) in enumerate(rows)
    ]
    (folder / "pairs.jsonl").write_text("\n".join(lines) + "\n")
    return Artifact("pairs", "jsonl", folder, "", "", {"passages": "without"}, {"count": len(rows)})


def model_of(path, texts, shape, seed):
    from kistack_torch.testing import tiny_model

    tiny_model(path, seed=seed, texts=texts, **shape)
    facets = {"precision": "fp32", "family": "llama", "vocabulary": "one"}
    return Artifact("model", "hf", path, "", "", facets, {})


def taught(model, teacher, pairs, root, alpha, seed, epochs):
    """``model`` after learning: from the pairs' answers with ``alpha`` 1, mostly from the teacher with 0.2."""
    from kistack_distill.response import ResponseDistiller
    from kistack_distill.signals import TopKSignals

    signals = run_stage(
        TopKSignals(),
        LocalContext(root / "signals", {"teacher": teacher, "pairs": pairs}, seed=seed),
        TopKSignals.Settings(dtype="fp32"),
    )["signals"]
    settings = ResponseDistiller.Settings(
        student="given", alpha=alpha, epochs=epochs, learning_rate=2e-3, batch=10, dtype="fp32", positions="answer"
    )
    given = {"model": model, "teacher": teacher, "pairs": pairs, "signals": signals}
    made = run_stage(ResponseDistiller(), LocalContext(root, given, seed=seed), settings)["model"]
    return Artifact("model", "hf", made.path, "", "", model.facets, {})


def main():
    folder, rounds, codes = work_folder(__doc__, codes=1)
    found = {"teacher": [], "student of the teacher": [], "student of the pairs": []}
    for seed in range(rounds):
        train, test = task(seed, codes)
        root = folder / f"students-{codes}-{seed}"
        texts = [f"{q} {a}" for q, a in train]
        pairs = written(root / "pairs", train)
        blank = model_of(root / "blank", texts, TEACHER, seed)
        other = model_of(root / "other", texts, STUDENT, seed + 50)
        teacher = taught(blank, other, pairs, root / "teacher", 1.0, seed, EPOCHS[codes])
        small = model_of(root / "small", texts, STUDENT, seed + 100)
        sizes = [sum(p.stat().st_size for p in m.path.glob("*.safetensors")) for m in (blank, small)]
        student = taught(small, teacher, pairs, root / "student", 0.2, seed, EPOCHS[codes])
        alone = taught(small, blank, pairs, root / "alone", 1.0, seed, EPOCHS[codes])
        for name, model in zip(found, (teacher, student, alone), strict=True):
            found[name].append(right(model, test, 12))
        print(f"round {seed}: {sizes[0] / sizes[1]:.1f} times smaller, "
              + ", ".join(f"{n} {100 * v[-1]:.0f} %" for n, v in found.items()), flush=True)  # fmt: skip
    for name, values in found.items():
        kept = [100 * v / t for v, t in zip(values, found["teacher"], strict=True) if t]
        print(f"| {name} | {100 * statistics.mean(values):.0f} % | keeps {spread(kept)} % |" if kept else name)


if __name__ == "__main__":
    main()
