"""For tests of plugins: a real model with a real tokenizer, small enough to be made in a tenth of a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from kistack_torch.models import save_model

#: The turn format of ChatML, as SmolLM2 and Qwen use it.
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

#: What the tokenizer is trained on unless texts are given.
TEXTS = (
    "You answer questions. Reply with the answer only, as short as possible.",
    "Use these notes to answer. Question: which version of the product was the latest in May 2025?",
    "The latest version of the product was 3.12.4; support for it ends on 2028-10-31.",
)


def tiny_tokenizer(texts: Sequence[str] = TEXTS, *, vocab: int = 320) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer (so every text survives it) of at most ``vocab`` tokens, with ChatML and its ends."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<|im_start|>",  # noqa: S106 - a token of text, not a secret
        eos_token="<|im_end|>",  # noqa: S106
        pad_token="<|endoftext|>",  # noqa: S106
        unk_token="<|endoftext|>",  # noqa: S106
    )
    tokenizer.chat_template = CHATML
    return tokenizer


def tiny_model(
    path: Path, *, layers: int = 4, hidden: int = 32, seed: int = 0, texts: Sequence[str] = TEXTS, tied: bool = True
) -> Path:
    """Write a llama of random weights (fp32, context 512, 4 heads, 2 KV heads) and its tokenizer; returns ``path``.

    Weights are drawn wide, so that its next token is rarely a near tie.
    """
    tokenizer = tiny_tokenizer(texts)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=tied,
        initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    save_model(model, tokenizer, path)
    return path
