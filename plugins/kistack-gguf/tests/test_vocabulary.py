import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kistack_gguf.export import export
from kistack_gguf.kinds import KINDS
from kistack_gguf.scoring import LogitModel
from kistack_gguf.vocabulary import CONTROL, NORMAL, UNUSED, USER_DEFINED, pre_tokenizer, read_vocabulary
from kistack_torch.testing import TEXTS
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import LlamaConfig, LlamaForCausalLM

from kistack.errors import ModelError

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


PLAIN = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
BARE = {**PLAIN, "use_regex": False}
DIGITS = {"type": "Digits", "individual_digits": True}


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (PLAIN, "gpt-2"),
        (sequence(PLAIN), "gpt-2"),
        (sequence(DIGITS, PLAIN), "smollm"),
        (sequence(split(LLAMA3), BARE), "llama-bpe"),
        (sequence(split(LLAMA3.replace("{1,3}", "")), BARE), "qwen2"),
    ],
)
def test_pre_tokenizers_are_told_by_what_they_do(found, name):
    assert pre_tokenizer({"pre_tokenizer": found}) == name


@pytest.mark.parametrize(
    "document",
    [
        {"pre_tokenizer": None},
        {"pre_tokenizer": {**PLAIN, "add_prefix_space": True}},
        {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": False}, PLAIN)},
        {"pre_tokenizer": sequence(split(r"\w+"), BARE)},
        {"pre_tokenizer": sequence(split(LLAMA3), PLAIN)},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"pre_tokenizer": PLAIN, "normalizer": {"type": "Lowercase"}},
    ],
)
def test_an_unknown_pre_tokenizer_is_refused_not_guessed(document):
    with pytest.raises(ModelError, match=r"no pre-tokenizer that does the same") as caught:
        pre_tokenizer(document)
    assert caught.value.hint


def byte_level(folder, pre=None, **config):
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre or pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    core.train_from_iterator(TEXTS, trainer)
    core.add_tokens([AddedToken("<note>", special=False)])
    folder.mkdir(exist_ok=True)
    core.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, **config}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return core


def test_tokens_types_merges_and_special_ids(tmp_path):
    core = byte_level(tmp_path)
    size = core.get_vocab_size()
    found = read_vocabulary(tmp_path, size + 2)
    assert found.model == "gpt2"
    assert found.tokens[:size] == [core.id_to_token(n) for n in range(size)]
    assert found.tokens[size:] == [f"[PAD{size}]", f"[PAD{size + 1}]"]
    assert found.types[0] == CONTROL
    assert found.types[core.token_to_id("<note>")] == USER_DEFINED
    assert found.types[5] == NORMAL
    assert found.types[-1] == UNUSED
    assert found.special == {"bos": 0, "eos": 1}
    assert all(len(m.split(" ")) == 2 for m in found.merges)
    assert (found.add_bos, found.add_eos, found.chat_template) == (False, False, "")


def test_what_the_tokenizer_adds_is_told_by_letting_it(tmp_path):
    core = byte_level(tmp_path)
    core.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    core.save(str(tmp_path / "tokenizer.json"))
    found = read_vocabulary(tmp_path, 400)
    assert (found.add_bos, found.add_eos) == (True, True)


@pytest.mark.parametrize(
    ("template", "adds"),
    [("{{ bos_token }}{{ messages }}", True), ("<s>{{ messages }}", True), ("{{ messages }}", False)],
)
def test_a_begin_token_that_the_template_leaves_out_is_left_out(tmp_path, template, adds):
    core = byte_level(tmp_path)
    core.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    core.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "chat_template.jinja").write_text(template)
    assert read_vocabulary(tmp_path, 400).add_bos is adds


def test_a_second_end_token_is_the_end_of_turn(tmp_path):
    byte_level(tmp_path)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 7]}))
    assert read_vocabulary(tmp_path, 400).special == {"bos": 0, "eos": 1, "eot": 7}
    (tmp_path / "tokenizer_config.json").write_text("{}")
    assert read_vocabulary(tmp_path, 400).special == {"eos": 1, "eot": 7}


def test_chat_templates_in_a_list(tmp_path):
    byte_level(tmp_path, chat_template=[{"name": "tool", "template": "t"}, {"name": "default", "template": "d"}])
    assert read_vocabulary(tmp_path, 400).chat_template == "d"


def test_more_tokens_than_rows_no_tokenizer_and_another_model_are_refused(tmp_path):
    byte_level(tmp_path)
    with pytest.raises(ModelError, match="has no row in an embedding of 100"):
        read_vocabulary(tmp_path, 100)
    with pytest.raises(ModelError, match="cannot be read"):
        read_vocabulary(tmp_path / "none", 100)
    Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError, match="type 'WordLevel' has no form"):
        read_vocabulary(tmp_path, 100)


def sentencepiece(folder):
    """A tokenizer as the first Llamas have it: spaces shown, characters merged by rank, bytes for what is unknown."""
    trained = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    trained.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256))]
    trained.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=400, special_tokens=special))
    document = json.loads(trained.to_str())
    document["added_tokens"] = document["added_tokens"][:3]
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(document))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"})
    )
    return Tokenizer.from_str(json.dumps(document))


def test_sentencepiece_ranks_become_scores(tmp_path):
    core = sentencepiece(tmp_path)
    found = read_vocabulary(tmp_path, core.get_vocab_size())
    assert (found.model, found.pre, found.merges, found.add_space_prefix) == ("llama", "default", [], True)
    merges = json.loads(core.to_str())["model"]["merges"]
    first, last = ("".join(merges[n]) for n in (0, -1))
    assert found.scores[core.token_to_id(first)] == 0
    assert found.scores[core.token_to_id(last)] < found.scores[core.token_to_id(first)]
    assert found.types[0] == 2
    assert found.types[3] == 6


def cores(name, folder):
    if name == "sentencepiece":
        return sentencepiece(folder)
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=name in {"gpt-2", "smollm"})
    first = {
        "smollm": [pre_tokenizers.Digits(individual_digits=True)],
        "llama-bpe": [pre_tokenizers.Split(Regex(LLAMA3), "isolated")],
        "qwen2": [pre_tokenizers.Split(Regex(LLAMA3.replace("{1,3}", "")), "isolated")],
    }.get(name, [])
    return byte_level(folder, pre_tokenizers.Sequence([*first, level]))


@pytest.fixture(scope="module", params=["gpt-2", "smollm", "llama-bpe", "qwen2", "sentencepiece"])
def both(request, tmp_path_factory):
    """A tokenizer, and llama.cpp with the model exported for it."""
    folder = tmp_path_factory.mktemp(request.param)
    core = cores(request.param, folder)
    config = LlamaConfig(
        vocab_size=core.get_vocab_size(),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    export(folder, folder / "m.gguf", KINDS["F16"])
    with LogitModel(folder / "m.gguf", context=64, threads=1) as exported:
        yield core, exported


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.lists(
        st.sampled_from(
            [
                *TEXTS,
                " ",
                "  ",
                "\n",
                "\n\n",
                "12",
                "3.14",
                "I'll",
                "don't",
                "é",
                "北京",
                "🙂",
                "\t",
                "a",
                "-",
                "€5,000",
                "<note>",
                "</s>",
                "x=1;",
                "'S",
            ]
        ),
        max_size=8,
    ).map("".join)
)
def test_llama_cpp_cuts_every_text_into_the_same_tokens(both, text):
    core, exported = both
    assert exported.tokenize(text) == core.encode(text, add_special_tokens=False).ids
