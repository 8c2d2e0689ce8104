import json

import pytest
from kistack_torch.embedding.testing import tiny_embedder

from kistack.domain.artifacts import Artifact
from kistack.testing import LocalContext, run_stage

DOCUMENTS = [
    {"id": "php/8.1", "title": "PHP", "text": "The latest release of PHP 8 1 is 8 1 29.", "date": "2027-10-31"},
    {"id": "php/8.2", "title": "PHP", "text": "Support for PHP ends on may 31.", "date": None, "part": "dates"},
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


@pytest.fixture(scope="session")
def embedder(tmp_path_factory):
    folder = tiny_embedder(tmp_path_factory.mktemp("embedder") / "model")
    return Artifact("embedder", "sentence-transformers", folder, "digest-of-embedder", "")


@pytest.fixture
def build(tmp_path, embedder):
    """Build an index of documents in a folder of its own; the artifact and the context it ran in."""
    from kistack_llamaindex.stage import LlamaIndexRetriever

    def run(rows=DOCUMENTS, settings=None, name="work"):
        given = {"corpus": write_corpus(tmp_path / name / "corpus", rows), "embedder": embedder}
        context = LocalContext(tmp_path / name, given)
        return run_stage(LlamaIndexRetriever(), context, settings)["index"], context

    return run


@pytest.fixture
def profile():
    """A machine of two cores, as the constants were measured on."""
    from kistack.domain.facts import Profile, measured

    numbers = {"cores": 2, "flops_fp32": 1.6e11, "flops_bf16": 4.1e11, "bandwidth": 2.6e10, "ram_free": 2e10}
    facts = {f"{side}.{n}": measured(v, "a test") for side in ("hardware", "serving") for n, v in numbers.items()}
    embedder = {"params": 22.7e6, "hidden": 384, "vocab": 30522, "bytes": 91e6}
    return Profile({**facts, **{f"embedder.{n}": measured(v, "a test") for n, v in embedder.items()}})
