"""Loading and saving models and tokenizers, and turning chats into token ids, the same way everywhere."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from kistack.domain.prompt import Message, Prompt
from kistack.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# a worker reports through its context; bars of libraries would only litter its log
transformers.utils.logging.disable_progress_bar()


def load_model(path: Path, *, dtype: torch.dtype, device: str, adapter: Path | None = None) -> PreTrainedModel:
    """A causal language model in evaluation mode, from a local folder; ``adapter`` is a PEFT folder put on top of it.

    Nothing is fetched, no pickle is read, no code from the folder runs.

    Raises:
        ModelError: the folder holds no such model, or no safetensors, or the adapter does not fit it.

    """
    try:
        model = AutoModelForCausalLM.from_pretrained(
            path, dtype=dtype, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError) as e:
        raise ModelError(f"{path}: cannot be loaded as a causal language model: {_first_line(e)}", _LOAD_HINT) from e
    if adapter is not None:
        model = _with_adapter(model, adapter)
    head = model.get_output_embeddings()
    if head is not None:
        head.register_forward_pre_hook(_packed)
    # modules left by an adapter keep their own format unless told
    return model.to(device=device, dtype=dtype).eval()


def _packed(_head: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The last states of a batch, cut out of all its states, as a tensor of their own.

    A view of them, and weights that are not trained: then PyTorch 2.13 multiplies row by row, in bf16 on a copy of the
    vocabulary's weights for each row (16 rows of SmolLM2-135M: 0.9 GB and 2 s for what takes 10 ms).
    """
    return tuple(i.contiguous() if isinstance(i, torch.Tensor) else i for i in inputs)


_LOAD_HINT = "give a Hugging Face folder with config.json and *.safetensors of a causal language model"


def _with_adapter(model: PreTrainedModel, adapter: Path) -> Any:
    from peft import PeftModel

    try:
        with warnings.catch_warnings():
            # peft asks transformers under a name that it gave up; the answer is right
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
            return PeftModel.from_pretrained(model, str(adapter), local_files_only=True)
    except (OSError, ValueError, RuntimeError) as e:
        raise ModelError(
            f"{adapter}: this adapter does not fit its base: {_first_line(e)}",
            "open it with the base it was trained on",
        ) from e


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a local folder; it pads on the left, with the end token where it has no padding token.

    Raises:
        ModelError: the folder holds no tokenizer.

    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as e:
        raise ModelError(
            f"{path}: no tokenizer can be loaded: {_first_line(e)}", "the folder needs tokenizer.json or its parts"
        ) from e
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """Write ``model`` (as safetensors, in its own number format) and ``tokenizer`` into the folder ``path``."""
    path.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


def render(tokenizer: PreTrainedTokenizerBase, messages: Prompt, *, answer: str | None = None) -> str:
    """The chat as one text, by the tokenizer's own chat template.

    Without ``answer`` it ends where the assistant begins to speak; with it, after the assistant's turn.
    A tokenizer without a template (a base model) gets the turns one below the other.
    The text holds its own special tokens: encode it with ``add_special_tokens=False`` (``encode`` does).
    """
    turns = [*messages, Message(role="assistant", content=answer)] if answer is not None else list(messages)
    if tokenizer.chat_template is None:
        bos = tokenizer.bos_token or ""
        eos = tokenizer.eos_token or ""
        head = bos + "".join(m["content"] + "\n\n" for m in messages)
        return head if answer is None else head + answer + eos
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=answer is None)
    assert isinstance(text, str)
    return text


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of a rendered text, with nothing added."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def encode_pair(tokenizer: PreTrainedTokenizerBase, messages: Prompt, answer: str) -> tuple[list[int], int]:
    """Token ids of a chat with its answer, and how many of them are the prompt.

    Prompt and answer are encoded apart, so that the prompt's ids are exactly those that generation will see. The
    answer ends with the token that ends a turn; what the template writes behind it (a line break) is left out,
    for no model is ever asked to say it.
    """
    prompt = render(tokenizer, messages)
    whole = render(tokenizer, messages, answer=answer)
    prompt_ids = encode(tokenizer, prompt)
    said = whole[len(prompt) :] if whole.startswith(prompt) else answer
    answer_ids = encode(tokenizer, said)
    ends = turn_ends(tokenizer)
    last = max((i for i, token in enumerate(answer_ids) if token in ends), default=None)
    if last is not None:
        answer_ids = answer_ids[: last + 1]
    elif tokenizer.eos_token_id is not None:
        answer_ids = [*answer_ids, tokenizer.eos_token_id]
    return prompt_ids + answer_ids, len(prompt_ids)


def turn_ends(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Ids of the tokens that end an assistant's turn: the end token, and the special one its template writes."""
    ends = {tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set()
    if tokenizer.chat_template is not None:
        marker = "\x02"
        turns: Sequence[Message] = [Message(role="user", content=marker), Message(role="assistant", content=marker)]
        tail = tokenizer.apply_chat_template(list(turns), tokenize=False).rpartition(marker)[2]
        # a template's own marker need not be one of the tokenizer's named special tokens
        special = {n for n, t in tokenizer.added_tokens_decoder.items() if t.special} | set(tokenizer.all_special_ids)
        ends |= set(encode(tokenizer, tail)[:1]) & special
    return frozenset(ends)
