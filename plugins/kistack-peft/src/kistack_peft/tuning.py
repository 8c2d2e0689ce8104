"""Training a LoRA adapter. Heavy: imported only inside ``run``."""

from __future__ import annotations

from functools import partial

from kistack_torch.devices import choose_device, choose_dtype, set_deterministic
from kistack_torch.examples import encode_pairs, read_pairs, uses_passages
from kistack_torch.folders import folder_bytes
from kistack_torch.models import encode_pair, load_model, load_tokenizer
from kistack_torch.training import CompletionLoss, TrainingOptions, train

from kistack.errors import DataError
from kistack.plugins.stages import Context
from kistack_peft.adapters import attach, save_adapter
from kistack_peft.lora import LEAST_PAIRS, choose_epochs
from kistack_peft.settings import LoraSettings

#: Share of all steps over which the learning rate rises.
_WARMUP = 0.1


def tune(settings: LoraSettings, ctx: Context) -> dict[str, float]:
    """Train an adapter on the first answers of the pairs and write it; returns its facts.

    Raises:
        DataError: pairs that cannot be read, too few of them, or most of them too long.
        ModelError: a model that cannot be loaded, or has none of the named matrices.
        StepFailed: the loss is not a number.
    """
    base = ctx.input("model")
    set_deterministic(ctx.seed)
    device = choose_device()
    dtype, reason = choose_dtype(device, settings.dtype)
    tokenizer = load_tokenizer(base.path)
    pairs = read_pairs(ctx.input("pairs").path)
    shown = uses_passages(pairs, settings.passages)
    examples, left_out = encode_pairs(
        pairs, partial(encode_pair, tokenizer), with_passages=shown, max_length=settings.max_length
    )
    if len(examples) < LEAST_PAIRS:
        raise DataError(
            f"tune/lora: {len(examples)} usable pairs, at least {LEAST_PAIRS} are needed",
            "collect more pairs, raise max_length, or leave tuning out",
        )
    ctx.log(
        f"{len(examples)} pairs {'with' if shown else 'without'} passages"
        + (f", {left_out} left out as longer than {settings.max_length} tokens" if left_out else "")
        + f"; {reason}, on {device}"
    )
    model = attach(load_model(base.path, dtype=dtype, device=device), settings)
    options = TrainingOptions(
        learning_rate=settings.learning_rate,
        epochs=choose_epochs(len(examples)) if settings.epochs == "auto" else settings.epochs,
        seed=ctx.seed,
        batch=settings.batch,
        batch_tokens=settings.batch_tokens,
        warmup=_WARMUP,
        recompute=settings.recompute,
    )
    assert tokenizer.pad_token_id is not None
    result = train(model, examples, CompletionLoss(), options, ctx, pad=tokenizer.pad_token_id, full_precision=True)
    ctx.log(
        f"{result.trained} weights trained in {result.steps} steps: loss {result.losses[0]:.3f} in the first epoch, "
        f"{result.losses[-1]:.3f} in the last; {result.tokens_per_second:.0f} tokens/s, {result.padding:.0%} padding"
    )
    out = ctx.out("model")
    save_adapter(model, base, settings, out)
    tokenizer.save_pretrained(out)
    return {
        "bytes": folder_bytes(out),
        "trained": result.trained,
        "loss": result.losses[-1],
        "examples": len(examples),
        "left_out": left_out,
    }
