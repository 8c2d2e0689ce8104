"""Claim: vector search takes under a millisecond.

    python tests/benchmarks/claims/search.py FOLDER [--rounds 5]

The index of the demo's documents as the plugin builds it: a question from text to passages, and its two parts,
turning the question into a vector and comparing that with all others. Then stores of random vectors of the same
length, larger ones.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from common import EMBEDDER, ratios, spread, unpacked, work_folder

SIZES = (1_000, 10_000, 100_000, 400_000)
TOP = 5


def demo_index(folder):
    """The index of the demo's project, with the folder of its embedder and questions that were held out."""
    from kistack_llamaindex.stage import LlamaIndexRetriever

    from kistack.demo.project import write_project
    from kistack.domain.artifacts import Artifact
    from kistack.domain.scenario import load_scenario
    from kistack.profiling.corpus import load_corpus, write_corpus
    from kistack.profiling.splits import load_pairs
    from kistack.testing import LocalContext, run_stage

    project, corpus = folder / "desk", folder / "corpus"
    if not project.exists():
        project.mkdir()
        write_project(project)
    scenario = load_scenario(project)
    embedder = Artifact("embedder", "sentence-transformers", unpacked(folder, EMBEDDER, "embedder"), "", "")
    if not corpus.exists():
        corpus.mkdir()
        write_corpus(load_corpus(scenario), corpus)
        given = {"corpus": Artifact("corpus", "jsonl", corpus, "", ""), "embedder": embedder}
        run_stage(LlamaIndexRetriever(), LocalContext(folder / "index", given))
    questions = [p.question for p in load_pairs(scenario).test][:200]
    return folder / "index" / "out" / "index", embedder.path, questions


def timed(call, arguments):
    """Milliseconds, median over the arguments, each by itself."""
    found = []
    for argument in arguments:
        start = time.perf_counter()
        call(argument)
        found.append(1000 * (time.perf_counter() - start))
    return statistics.median(found)


def random_store(folder, count, dimension):
    from kistack_llamaindex.store import VectorStore, write_store

    place = folder / f"random-{count}"
    if not place.exists():
        place.mkdir()
        vectors = np.random.default_rng(count).standard_normal((count, dimension), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        rows = [{"id": str(n), "document": "d", "text": "x" * 200} for n in range(count)]
        write_store(place, rows, vectors, {})
    return VectorStore(place)


def main():
    from kistack_llamaindex.session import StoreSession
    from kistack_llamaindex.store import VectorStore
    from kistack_torch.embedding.bert import one_thread_each
    from kistack_torch.embedding.encoders import open_encoder

    folder, rounds = work_folder(__doc__)
    index, embedder, questions = demo_index(folder)
    store, encoder = VectorStore(index), open_encoder(embedder)
    session = StoreSession(index, embedder, top_k=TOP, batch=32)
    vectors = [encoder.encode([q], "query", batch=1) for q in questions]

    def compare(vector, store=store):
        with one_thread_each():
            store.search(vector, TOP)

    session.search(questions[:3])
    whole, embedding, comparing = [], [], []
    for _ in range(rounds):
        whole.append(timed(lambda q: session.search([q]), questions))
        embedding.append(timed(lambda q: encoder.encode([q], "query", batch=1), questions))
        comparing.append(timed(compare, vectors))
    print(f"{len(store)} passages, {len(questions)} questions, {rounds} rounds, ms a question")
    print(f"| question to passages | {spread(whole)} |\n| of it, question to vector | {spread(embedding)} |")
    print(f"| of it, comparing | {spread(comparing)} |")
    print(f"| share of comparing | {spread(ratios(comparing, whole))} |")
    for count in SIZES:
        other = random_store(folder, count, store.dimension)
        compare(vectors[0], other)
        times = [timed(lambda v, o=other: compare(v, o), vectors[:40]) for _ in range(rounds)]
        print(f"| comparing with {count:,} vectors | {spread(times)} |", flush=True)
        other.close()


if __name__ == "__main__":
    main()
