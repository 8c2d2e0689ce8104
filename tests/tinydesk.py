"""A project on tiny but real models: a llama, a sentence encoder, documents and pairs, all made in a second."""

import json

#: What nobody could say without the documents, and a tiny model can learn to copy.
COLOURS = ("red", "blue", "green", "black", "white", "grey", "brown", "pink")
TOWNS = ("Aar", "Bex", "Cham", "Davos", "Egg", "Flims", "Gais", "Horn", "Ins", "Jona")

SCENARIO = """\
schema: 1
name: tiny-desk
task: {kind: facts, metric: contained}
knowledge:
  corpus: {path: documents, licence: CC0-1.0}
  pairs: pairs.jsonl
  split: {by: declared}
  changes: 1%/day
models: {base: llama, teacher: llama, embedder: encoder}
limits: {memory: 8GB, local_only: yes}
"""

ALL_FOUR = """\
schema: 1
seed: 3
steps:
- {use: retrieve/llamaindex, with: {top_k: 2}}
- {use: distill/response, with: {epochs: 6, batch: 2}}
- {use: tune/lora, with: {rank: 4, alpha: 8, epochs: 6, batch: 2, dtype: fp32}}
- {use: quantize/gguf, with: {kind: Q8_0, tolerance: 0.5}}
"""


def facts():
    """(town, colour) of every document: 80 in all."""
    return [(f"{town} {n}", COLOURS[(3 * i + n) % len(COLOURS)]) for i, town in enumerate(TOWNS) for n in range(1, 9)]


def write_encoder(folder):
    """A sentence-transformers folder: a BERT of two layers with words for tokens."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = sorted({w for town, colour in facts() for w in (*town.lower().split(), colour)})
    words += ["the", "bridge", "of", "is", "painted", "which", "colour", "has", "in", "?", "."]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {w: i for i, w in enumerate([*special, *dict.fromkeys(words)])}
    core = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, initializer_range=0.2,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (folder / "2_Normalize").mkdir()
    return folder


def sentence(town, colour):
    return f"The bridge of {town} is painted {colour}."


def write_tiny_project(folder, models, *, train=72):
    """Documents, pairs and a scenario; the models are shared by link."""
    documents = folder / "documents"
    documents.mkdir(parents=True)
    rows = []
    for n, (town, colour) in enumerate(facts()):
        name = f"{town.replace(' ', '-')}.md"
        (documents / name).write_text(sentence(town, colour) + "\n")
        rows.append(
            {
                "id": f"q{n}",
                "question": f"Which colour has the bridge of {town}?",
                "answer": colour,
                "gold": [name],
                "group": town,
                "split": "train" if n < train else "test",
            }
        )
    (folder / "pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    for name in ("llama", "encoder"):
        (folder / name).symlink_to(models / name)
    (folder / "kistack.yaml").write_text(SCENARIO)
    (folder / "plan.yaml").write_text(ALL_FOUR)
    return folder


def write_tiny_models(root):
    """``llama`` and ``encoder`` under ``root``."""
    from kistack_torch.testing import tiny_model

    texts = [sentence(*fact) for fact in facts()] + [f"Which colour has the bridge of {t}?" for t, _ in facts()]
    tiny_model(root / "llama", texts=texts, tied=False)
    write_encoder(root / "encoder")
    return root
