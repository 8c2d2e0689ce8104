from __future__ import annotations

import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kistack_torch.models import (
    encode,
    encode_pair,
    load_model,
    load_tokenizer,
    render,
    save_model,
    turn_ends,
)
from kistack_torch.testing import tiny_model, tiny_tokenizer
from peft import LoraConfig, get_peft_model

from kistack.domain.prompt import PromptTemplate
from kistack.errors import ModelError

CHAT = PromptTemplate(system="Be brief.").render("Which version?")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def tokenizer(folder):
    return load_tokenizer(folder)


def load(folder, **options):
    return load_model(folder, **{"dtype": torch.float32, "device": "cpu", **options})


def test_a_model_comes_in_the_format_asked_for_and_evaluates(folder):
    model = load(folder, dtype=torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert not model.training


def test_a_saved_model_is_the_same(folder, tokenizer, tmp_path):
    model = load(folder)
    save_model(model, tokenizer, tmp_path / "new" / "place")
    again = load(tmp_path / "new" / "place")
    for (name, one), (_, other) in zip(model.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(one, other), name
    assert render(load_tokenizer(tmp_path / "new" / "place"), CHAT) == render(tokenizer, CHAT)


def test_an_adapter_is_put_on_top(folder, tmp_path):
    config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    trained = get_peft_model(load(folder), config)
    trained.save_pretrained(tmp_path)
    ids = torch.arange(5, 20)[None]
    with torch.inference_mode():
        expected = trained.eval()(ids).logits
        adapted = load(folder, adapter=tmp_path)
        torch.testing.assert_close(adapted(ids).logits, expected)
        assert not torch.allclose(load(folder)(ids).logits, expected, atol=1e-2)
    assert {p.dtype for p in load(folder, adapter=tmp_path, dtype=torch.bfloat16).parameters()} == {torch.bfloat16}


def test_last_states_reach_the_vocabulary_packed(folder, tmp_path):
    get_peft_model(load(folder), LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")).save_pretrained(
        tmp_path
    )
    ids = torch.arange(5, 35).reshape(3, 10)
    for adapter in (None, tmp_path):
        model = load(folder, adapter=adapter)
        packed = []
        # hooks run in the order in which they were put there
        head = model.get_output_embeddings()
        head.register_forward_pre_hook(lambda _m, inputs, seen=packed: seen.append(inputs[0].is_contiguous()))
        with torch.inference_mode():
            logits = model(ids, logits_to_keep=1).logits
            torch.testing.assert_close(logits, model(ids).logits[:, -1:])
        assert packed == [True, True]


def test_an_adapter_of_another_base_is_refused(folder, tmp_path):
    config = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    other = tiny_model(tmp_path / "other", hidden=64)
    get_peft_model(load(other), config).save_pretrained(tmp_path / "adapter")
    with pytest.raises(ModelError, match="does not fit its base"):
        load(folder, adapter=tmp_path / "adapter")


def test_what_is_no_model_is_refused(folder, tmp_path):
    with pytest.raises(ModelError, match="cannot be loaded as a causal language model"):
        load(tmp_path)
    with pytest.raises(ModelError, match="no tokenizer"):
        load_tokenizer(tmp_path)
    pickled = shutil.copytree(folder, tmp_path / "pickled")
    torch.save(load(folder).state_dict(), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(pickled)


def test_a_tokenizer_without_padding_pads_with_its_end(tmp_path):
    plain = tiny_tokenizer()
    plain.pad_token = None
    plain.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.pad_token == loaded.eos_token
    assert loaded.padding_side == "left"


def test_a_chat_ends_where_the_assistant_begins(tokenizer):
    text = render(tokenizer, CHAT)
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nQuestion: Which version?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert render(tokenizer, CHAT, answer="3.12") == text + "3.12<|im_end|>\n"


@given(st.text(max_size=40))
def test_a_pair_is_the_prompt_that_generation_sees_and_a_closed_answer(tokenizer, answer):
    ids, prompt = encode_pair(tokenizer, CHAT, answer)
    assert ids[:prompt] == encode(tokenizer, render(tokenizer, CHAT))
    assert ids[-1] == tokenizer.eos_token_id
    assert ids[prompt:] == [*encode(tokenizer, answer), tokenizer.eos_token_id]


def test_turns_end_with_the_end_token_and_the_templates_own(tokenizer):
    assert turn_ends(tokenizer) == {tokenizer.eos_token_id}
    other = tiny_tokenizer()
    other.eos_token = "<|endoftext|>"
    assert turn_ends(other) == {other.convert_tokens_to_ids(t) for t in ("<|endoftext|>", "<|im_end|>")}
    ids, prompt = encode_pair(other, CHAT, "3")
    assert other.decode(ids[prompt:]) == "3<|im_end|>"


def test_a_base_model_without_template_gets_plain_turns():
    plain = tiny_tokenizer()
    plain.chat_template = None
    text = render(plain, CHAT)
    assert text == "<|im_start|>Be brief.\n\nQuestion: Which version?\n\n"
    ids, prompt = encode_pair(plain, CHAT, "3.12")
    assert plain.decode(ids[prompt:]) == "3.12<|im_end|>"
    assert turn_ends(plain) == {plain.eos_token_id}


def test_a_template_that_says_more_before_an_answer_still_trains_on_the_prompt_of_generation():
    thinking = tiny_tokenizer()
    thinking.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think></think>{% endif %}"
    )
    ids, prompt = encode_pair(thinking, CHAT, "3.12")
    assert ids[:prompt] == encode(thinking, render(thinking, CHAT))
    assert thinking.decode(ids[prompt:]) == "3.12<|im_end|>"
