import json

import pytest

from kistack.domain.artifacts import Artifact
from kistack.testing import LocalContext, run_stage

WORDS = (  # noqa: SIM905 - easier to read
    "the latest release of php python django node support for ends on may june is 8 1 29 3 11 12 2027 10 31 "
    "paris river king castle old new red blue green one two three four five six seven eight nine ten"
).split()
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


def write_embedder(folder, *, pooling=None, dense=False, normalise=True, seed=0, **config):
    """A sentence-transformers folder: a BERT of random weights with a word tokenizer, as the library saves one."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [f"{mark}{letter}" for mark in ("", "##") for letter in "abcdefghijklmnopqrstuvwxyz0123456789.,!?"]
    vocabulary = {token: n for n, token in enumerate(dict.fromkeys([*specials, *letters, *WORDS]))}
    core = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=64,
    )
    torch.manual_seed(seed)
    shape = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "initializer_range": 0.5,
    }
    model = BertModel(BertConfig(vocab_size=len(vocabulary), **{**shape, **config}))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    _write_json(folder / "1_Pooling/config.json", pooling or {"pooling_mode": "mean", "embedding_dimension": 32})
    if dense:
        modules.append(("2_Dense", "Dense"))
        _write_json(
            folder / "2_Dense/config.json",
            {"in_features": 32, "out_features": 8, "bias": True, "activation_function": "torch.nn.Tanh"},
        )
        layer = torch.nn.Linear(32, 8)
        save_file(
            {"linear.weight": layer.weight.data, "linear.bias": layer.bias.data}, folder / "2_Dense/model.safetensors"
        )
    if normalise:
        modules.append((f"{len(modules)}_Normalize", "Normalize"))
    _write_json(
        folder / "modules.json",
        [
            {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for n, (path, kind) in enumerate(modules)
        ],
    )
    for path, _ in modules:
        (folder / path).mkdir(exist_ok=True)
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": 48, "do_lower_case": False})
    return folder


def _write_json(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


def write_corpus(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    full = [{"title": "", "date": None, "part": "", "path": f"{row['id']}.md", **row} for row in rows]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in full))
    return Artifact("corpus", "jsonl", folder, "", "")


@pytest.fixture(scope="session")
def embedder(tmp_path_factory):
    folder = write_embedder(tmp_path_factory.mktemp("embedder") / "model")
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
