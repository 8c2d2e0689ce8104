import json

import pytest
from kistack_torch.embedding.testing import WORDS, tiny_embedder

from kistack.domain.artifacts import Artifact
from kistack.domain.facts import Profile, measured
from kistack.testing import LocalContext, run_stage

DOCUMENTS = [
    {"id": "php/8.1", "title": "PHP", "text": "The latest release of PHP 8 1 is 8 1 29.", "date": "2027-10-31"},
    {"id": "php/8.2", "title": "PHP", "text": "Support for it ends on may 31.", "date": None, "part": "dates"},
    {"id": "empty", "title": "Nothing", "text": "  \n"},
    {"id": "django", "title": "Django", "text": "The latest release is 12 10."},
    {"id": "king", "title": "", "text": "The old king of the red castle. The new king of the blue castle."},
]


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that wait for each other take longer than such small products do."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_corpus(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    full = [{"title": "", "date": None, "part": "", "path": f"{row['id']}.md", **row} for row in rows]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in full))
    return Artifact("corpus", "jsonl", folder, "", "")


def many(count):
    """Documents of twelve words each."""
    return [
        {"id": f"d{n}", "title": "", "text": " ".join(WORDS[(n * 7 + k * (1 + n % 5)) % len(WORDS)] for k in range(12))}
        for n in range(count)
    ]


def files(artifact):
    return {f.name: f.read_bytes() for f in artifact.path.iterdir()}


@pytest.fixture(scope="session")
def corpus_in():
    """Writes a corpus (by default DOCUMENTS) into a folder, which it returns."""
    return lambda folder, rows=DOCUMENTS: write_corpus(folder, rows).path


@pytest.fixture(scope="session")
def embedder(tmp_path_factory):
    folder = tiny_embedder(tmp_path_factory.mktemp("embedder") / "model")
    return Artifact("embedder", "sentence-transformers", folder, "digest-of-embedder", "")


@pytest.fixture
def build(tmp_path, embedder):
    """Build an index of documents in a folder of its own; the artifact and the context it ran in."""
    from kistack_haystack.settings import RetrieverSettings
    from kistack_haystack.stage import HaystackRetriever

    def run(rows=DOCUMENTS, name="work", **settings):
        given = {"corpus": write_corpus(tmp_path / name / "corpus", rows)}
        if settings.get("method") != "bm25":
            given["embedder"] = embedder
        context = LocalContext(tmp_path / name, given)
        return run_stage(HaystackRetriever(), context, RetrieverSettings(**settings))["index"], context

    return run


@pytest.fixture
def opened(build, embedder):
    """A session over documents: built and opened with the same settings."""
    from kistack_haystack.settings import RetrieverSettings
    from kistack_haystack.stage import HaystackRetriever

    def run(rows=DOCUMENTS, **settings):
        index, _ = build(rows, **settings)
        parts = {} if settings.get("method") == "bm25" else {"embedder": embedder}
        return HaystackRetriever().open(RetrieverSettings(**settings), index, parts)

    return run


@pytest.fixture
def profile():
    """A machine of two cores, as the constants were measured on."""
    numbers = {"cores": 2, "flops_fp32": 1.6e11, "flops_bf16": 4.1e11, "bandwidth": 2.6e10, "ram_free": 2e10}
    facts = {f"{side}.{n}": measured(v, "a test") for side in ("hardware", "serving") for n, v in numbers.items()}
    known = {"params": 22.7e6, "hidden": 384, "vocab": 30522, "bytes": 91e6}
    return Profile({**facts, **{f"embedder.{n}": measured(v, "a test") for n, v in known.items()}})
