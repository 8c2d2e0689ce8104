"""The same texts read before and after a change, to see whether the model still says the same. Heavy."""

from __future__ import annotations

from typing import Any

import torch
from kistack_torch.losses import divergence
from kistack_torch.models import encode, render

from kistack.domain.prompt import Passage, PromptTemplate

_NOTES = (
    Passage("1", "The library opens at nine in the morning and closes at six, on Saturdays at noon."),
    Passage("2", "Version 4.2 of the printer software was published on 2024-03-18 and is supported until 2027."),
    Passage("3", "The bridge over the river is 312 metres long and was opened to traffic in 1931."),
)
_QUESTIONS = (
    ("When does the library close on Saturdays?", "At noon."),
    ("Which version of the printer software was published in March 2024?", "4.2"),
    ("How long is the bridge over the river?", "312 metres"),
)
_PLAIN = (
    "What is the boiling point of water at sea level?",
    "Name three things that a good report contains.",
)
#: Tokens of the vocabulary taken at a stride, so that rare ones are seen as well.
_STRIDE_TOKENS, _STRIDE = 64, 7919


def probe_texts(tokenizer: Any, vocabulary: int) -> list[list[int]]:
    """Token ids of the probe texts; they depend on the tokenizer alone.

    Questions with and without passages, answered or not, and a walk through the vocabulary.
    """
    template = PromptTemplate()
    texts = [render(tokenizer, template.render(q, _NOTES), answer=a) for q, a in _QUESTIONS]
    texts += [render(tokenizer, template.render(q)) for q in _PLAIN]
    return [*(encode(tokenizer, t) for t in texts), [i * _STRIDE % vocabulary for i in range(1, _STRIDE_TOKENS)]]


def read(model: Any, texts: list[list[int]]) -> list[torch.Tensor]:
    """Logits (tokens, vocabulary) of each text, on the CPU in fp32."""
    with torch.no_grad():
        return [
            model(input_ids=torch.tensor([ids], device=model.device), use_cache=False).logits[0].float().cpu()
            for ids in texts
        ]


def mean_divergence(before: list[torch.Tensor], after: list[torch.Tensor]) -> float:
    """Mean KL(before ‖ after) per token over all texts, in nats."""
    found = torch.cat([divergence(b, a) for b, a in zip(before, after, strict=True)])
    return float(found.mean())
