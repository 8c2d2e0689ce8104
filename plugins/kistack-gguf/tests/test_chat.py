from datetime import datetime
from pathlib import Path

import pytest
from kistack_gguf.chat import ChatTemplate
from kistack_gguf.metadata import Metadata, read_metadata
from kistack_torch.models import load_tokenizer, render
from kistack_torch.testing import CHATML, tiny_tokenizer

from kistack.errors import ModelError

CHATS = (
    [{"role": "user", "content": "hi"}],
    [{"role": "system", "content": "Be <brief> & kind."}, {"role": "user", "content": "Ünïcode 北京 '\"\n x"}],
    [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": " c \n"},
    ],
)

TEMPLATES = (
    CHATML,
    (
        "{{ bos_token }}{%- for m in messages %}\n  {%- if m.role == 'system' %}{% continue %}{%- endif %}\n"
        "[{{ m['role'] | upper }}] {{ m['content'] | trim }}\n{%- endfor %}{{ eos_token if not add_generation_prompt }}"
    ),
    (
        "{% for m in messages %}\n    {% if m.role == 'user' %}\nU: {{ m.content }}\n    {% else %}\n"
        "{% generation %}A: {{ m.content }}{% endgeneration %}\n\n    {% endif %}\n{% endfor %}\n"
        "{{ messages | tojson }}"
    ),
    (
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{{ ns.n }}{{ m.content }}"
        "{% endfor %}{% if tools %}tools{% endif %}"
    ),
)


def template(source: str) -> ChatTemplate:
    values = {"tokenizer.chat_template": source, "tokenizer.ggml.bos_token_id": 0, "tokenizer.ggml.eos_token_id": 1}
    return ChatTemplate(Metadata(Path("m.gguf"), values, (b"<|im_start|>", b"<|im_end|>")))


@pytest.mark.parametrize("source", TEMPLATES)
@pytest.mark.parametrize("chat", CHATS)
def test_it_renders_as_transformers_does(source, chat):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = source
    assert template(source).render(chat) == render(tokenizer, chat)


def test_the_exported_template_renders_as_the_tokenizer_does(folder, gguf_file):
    tokenizer = load_tokenizer(folder)
    for chat in CHATS:
        assert ChatTemplate(read_metadata(gguf_file)).render(chat) == render(tokenizer, chat)


def test_a_model_without_a_template_gets_the_turns_below_each_other():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    assert template("").render(CHATS[2]) == render(tokenizer, CHATS[2])


def test_the_date_is_the_readers():
    assert template("{{ strftime_now('%Y') }}").render(CHATS[0]) == str(datetime.now().year)  # noqa: DTZ005


def test_a_template_that_refuses_or_cannot_be_parsed_names_the_file():
    with pytest.raises(ModelError, match=r"m\.gguf: its chat template fails: no system"):
        template("{{ raise_exception('no system') }}").render(CHATS[1])
    with pytest.raises(ModelError, match="chat template fails"):
        template("{% for %}")


def test_templates_cannot_reach_out_of_the_sandbox():
    with pytest.raises(ModelError, match="unsafe"):
        template("{{ messages.__class__.__mro__ }}").render(CHATS[0])
    with pytest.raises(ModelError, match="chat template fails"):
        template("{{ messages.append(1) }}").render(CHATS[0])
