"""The training loop that tuners and distillers share: deterministic, and the same after a kill as without one."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch

from kistack.errors import StepFailed
from kistack.plugins.stages import Context
from kistack_torch.batching import (
    Example,
    StepBatches,
    all_steps,
    padded_ids,
    padded_length,
    padding_share,
    target_rows,
)
from kistack_torch.checkpoints import Checkpoint, Checkpoints
from kistack_torch.losses import cross_entropy
from kistack_torch.optimization import Decay, MasterWeights, learning_rate
from kistack_torch.splitting import SplitModel

#: Up to this length attention written as two matrix products trains faster on a CPU than the fused kernel, whose
#: backward pass is slow there. Measured: 2,048 tokens, 9 heads of 64, bf16, forward and backward: length 256 68 against
#: 78 ms, 512 80 against 121, 1,024 390 against 155.
_EAGER_LENGTH = 512
#: The first checkpoint is not worth writing sooner.
_FIRST_SECONDS = 3.0
#: Between two checkpoints pass so many times the seconds that one takes: a twentieth of the time goes into them.
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How to train. ``batch`` examples make one optimizer step, computed ``batch_tokens`` (padding counted) at a time.

    ``warmup`` is a share of all steps; ``clip`` the largest gradient norm (0: none). ``checkpoint_seconds`` and
    ``checkpoint_steps`` say how often the state is saved (whichever comes first, 0: not by this); they do not change
    the result. The first checkpoints come sooner: a young training loses at most about half of its time.
    ``recompute`` saves memory by computing activations twice.
    """

    learning_rate: float
    epochs: int
    seed: int
    batch: int = 8
    batch_tokens: int = 2048
    warmup: float = 0.1
    decay: Decay = "cosine"
    weight_decay: float = 0.0
    clip: float = 1.0
    recompute: bool = False
    checkpoint_seconds: float = 60.0
    checkpoint_steps: int = 0


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training came to.

    ``losses``: mean loss of each epoch. ``tokens``: computed over all epochs, without padding. ``padding``: share of
    computed positions that were padding. ``resumed``: the step it went on from. ``tokens_per_second`` of this process.
    """

    steps: int
    tokens: int
    losses: tuple[float, ...]
    padding: float
    trained: int
    resumed: int
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Batch:
    """A micro-batch as an objective sees it: ``ids`` (batch, padded length), the examples and their indices."""

    ids: torch.Tensor
    examples: tuple[Example, ...]
    indices: tuple[int, ...]

    def rows(self, *, everywhere: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """``batching.target_rows`` as tensors on the device of ``ids``."""
        rows, tokens, answers = target_rows(self.examples, everywhere=everywhere)
        device = self.ids.device
        return (
            torch.tensor(rows, device=device),
            torch.tensor(tokens, device=device),
            torch.tensor(answers, dtype=torch.bool, device=device),
        )


class Objective(Protocol):
    """What is minimized: a sum of parts, each a mean over its own terms (tokens) of one optimizer step."""

    def terms(self, example: Example) -> tuple[int, ...]:
        """How many terms each part has in this example."""
        ...

    def backward(self, model: SplitModel, batch: Batch, totals: Sequence[int]) -> float:
        """Add this micro-batch's gradients; returns its share of the step's loss.

        ``totals`` are the numbers of terms of each part in the whole step: sums are divided by them, so that a step
        cut into several micro-batches has the gradient of the uncut one.
        """
        ...

    def fingerprint(self) -> Mapping[str, Any]:
        """A JSON document of what decides its value beside model and examples."""
        ...


class CompletionLoss:
    """Cross-entropy of the answer's tokens, its end-of-turn token included; ``everywhere`` the prompt's as well."""

    def __init__(self, *, everywhere: bool = False) -> None:
        self._everywhere = everywhere

    def terms(self, example: Example) -> tuple[int, ...]:
        """The predicted tokens."""
        return (len(example) - 1 if self._everywhere else example.answer,)

    def backward(self, model: SplitModel, batch: Batch, totals: Sequence[int]) -> float:
        """See ``Objective``."""
        rows, tokens, _ = batch.rows(everywhere=self._everywhere)
        return model.backward(
            batch.ids, rows, lambda part, logits: cross_entropy(logits, tokens[part]) / max(1, totals[0])
        )

    def fingerprint(self) -> Mapping[str, Any]:
        """See ``Objective``."""
        return {"loss": "cross-entropy", "everywhere": self._everywhere}


def choose_attention(model: Any, longest: int) -> str:
    """Set the attention implementation that trains fastest at this length; returns its name."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    short_on_cpu = model.device.type == "cpu" and longest <= _EAGER_LENGTH
    name = "eager" if short_on_cpu or not getattr(inner, "_supports_sdpa", False) else "sdpa"
    if inner.config._attn_implementation != name:  # noqa: SLF001 - the only place transformers keeps it
        inner.set_attn_implementation(name)
    return name


class _Run:
    """One training in progress."""

    def __init__(
        self,
        model: Any,
        examples: Sequence[Example],
        objective: Objective,
        options: TrainingOptions,
        ctx: Context,
        pad: int,
    ) -> None:
        self.examples, self.objective, self.options, self.ctx, self.pad = examples, objective, options, ctx, pad
        lengths = [len(e) for e in examples]
        self.steps = all_steps(
            lengths, batch=options.batch, budget=options.batch_tokens, seed=options.seed, epochs=options.epochs
        )
        self.step_tokens = [sum(lengths[i] for micro in step for i in micro) for step in self.steps]
        self.padding = padding_share(self.steps, lengths)
        attention = choose_attention(model, padded_length(max(lengths)))
        if options.recompute:
            model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        self.model = model
        self.split = SplitModel(model)
        self.weights = MasterWeights(model, weight_decay=options.weight_decay)
        self.checkpoints = Checkpoints(ctx.scratch / "training", self._fingerprint(attention))
        self.at = 0
        self.losses: list[float] = []

    def _fingerprint(self, attention: str) -> str:
        shown = asdict(self.options)
        # how often it is saved does not decide what it becomes
        shown.pop("checkpoint_seconds"), shown.pop("checkpoint_steps")
        document = {
            "options": shown,
            "objective": dict(self.objective.fingerprint()),
            "examples": hashlib.sha256(repr([(e.ids, e.prompt) for e in self.examples]).encode()).hexdigest(),
            "weights": self.weights.shapes(),
            "format": [str(self.model.dtype), str(self.model.device), attention],
            "torch": [torch.__version__, torch.get_num_threads()],
        }
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()

    def resume(self) -> int:
        """Go on from the newest checkpoint; returns the number of steps already done."""
        found = self.checkpoints.load()
        if found is None:
            return 0
        self.weights.restore(found.tensors, found.step)
        torch.set_rng_state(found.tensors["random/cpu"])
        if "random/cuda" in found.tensors:
            torch.cuda.set_rng_state(found.tensors["random/cuda"])
        self.at = found.step
        self.losses = [float(x) for x in found.state["losses"]]
        return self.at

    def save(self) -> None:
        """Write a checkpoint of the state after step ``at``."""
        tensors = self.weights.tensors()
        tensors["random/cpu"] = torch.get_rng_state()
        if self.model.device.type == "cuda":
            tensors["random/cuda"] = torch.cuda.get_rng_state()
        self.checkpoints.save(Checkpoint(self.at, tensors, {"losses": self.losses}))

    def step(self) -> float:
        """One optimizer step; returns its loss."""
        options, number = self.options, self.at
        loss = self._gradients(self.steps[number])
        rate = learning_rate(number, len(self.steps), options.learning_rate, warmup=options.warmup, decay=options.decay)
        norm = self.weights.step(rate, options.clip) if math.isfinite(loss) else math.nan
        if not math.isfinite(norm):
            what = "loss" if not math.isfinite(loss) else "gradient"
            raise StepFailed(
                f"training: the {what} is not a finite number at optimizer step {number + 1} of {len(self.steps)}",
                f"lower learning_rate (it is {options.learning_rate:g}), or train with dtype: fp32",
            )
        self.at += 1
        self.losses.append(loss)
        return loss

    def _gradients(self, step: StepBatches) -> float:
        parts = [self.objective.terms(self.examples[i]) for micro in step for i in micro]
        totals = [sum(counts) for counts in zip(*parts, strict=True)]
        loss = 0.0
        for micro in step:
            chosen = tuple(self.examples[i] for i in micro)
            ids = torch.tensor(padded_ids(chosen, self.pad), device=self.model.device)
            loss += self.objective.backward(self.split, Batch(ids, chosen, micro), totals)
        return loss

    def epoch_losses(self) -> tuple[float, ...]:
        """Mean loss of each epoch."""
        per_epoch = len(self.steps) // max(1, self.options.epochs)
        return tuple(sum(self.losses[at : at + per_epoch]) / per_epoch for at in range(0, len(self.losses), per_epoch))


def train(
    model: Any,
    examples: Sequence[Example],
    objective: Objective,
    options: TrainingOptions,
    ctx: Context,
    *,
    pad: int,
    full_precision: bool = False,
) -> TrainingResult:
    """Train the parameters of ``model`` that require gradients, in place.

    The same model, examples, options, seed and number of threads give the same bytes on a CPU (call
    ``devices.set_deterministic`` before the model is made). Checkpoints go to ``ctx.scratch``: a training that was
    killed goes on from the last one and ends with the bytes of an undisturbed one.

    Args:
        model: a causal language model of transformers, with or without PEFT adapters, on its device.
        examples: what to learn from, at least one.
        objective: the loss.
        options: see ``TrainingOptions``.
        ctx: for checkpoints and progress (loss, tokens per second).
        pad: token id that fills shorter examples up.
        full_precision: leave the trained weights in fp32 (an adapter) instead of the model's own format.

    Raises:
        StepFailed: the loss or its gradient is not a finite number.
    """
    # with it every torch.empty is filled first; nothing here reads what it did not write
    torch.utils.deterministic.fill_uninitialized_memory = False
    run = _Run(model, examples, objective, options, ctx, pad)
    resumed = run.resume()
    total = sum(run.step_tokens)
    done = before = sum(run.step_tokens[:resumed])
    if resumed:
        ctx.log(f"training goes on after optimizer step {resumed} of {len(run.steps)}")
    model.train()
    started = saved = time.monotonic()
    speed = cost = 0.0
    while run.at < len(run.steps):
        loss = run.step()
        done += run.step_tokens[run.at - 1]
        now = time.monotonic()
        speed = (done - before) / max(1e-9, now - started)
        ctx.progress(done, total, "tokens", loss=loss, tokens_per_second=speed)
        finished = run.at == len(run.steps)
        # what follows a long training (merging, comparing, writing) may be killed as well
        if (finished and saved > started) or _is_due(run.at, now - saved, now - started, options, cost):
            run.save()
            saved = time.monotonic()
            cost = saved - now
    model.eval()
    run.weights.release(full_precision=full_precision)
    return TrainingResult(
        steps=len(run.steps),
        tokens=total,
        losses=run.epoch_losses(),
        padding=run.padding,
        trained=run.weights.count,
        resumed=resumed,
        tokens_per_second=speed,
    )


def _is_due(step: int, since_saved: float, since_started: float, options: TrainingOptions, cost: float = 0.0) -> bool:
    """Whether to save after ``step``; ``cost`` is how many seconds the last time took."""
    by_steps = options.checkpoint_steps > 0 and step % options.checkpoint_steps == 0
    # 3, 6, 12, … seconds from the start, until they are checkpoint_seconds apart: few writes, little to lose
    interval = min(options.checkpoint_seconds, max(_FIRST_SECONDS, since_started / 2))
    return by_steps or (interval > 0 and max(interval, _PATIENCE * cost) <= since_saved)
