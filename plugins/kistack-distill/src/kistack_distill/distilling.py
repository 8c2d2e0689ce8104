"""Making and teaching a student. Heavy: imported only inside ``run``."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from kistack_torch.batching import Example
from kistack_torch.devices import choose_device, choose_dtype, set_deterministic
from kistack_torch.examples import encode_pairs, hold_out, read_pairs, uses_passages
from kistack_torch.folders import copy_terms, folder_bytes
from kistack_torch.models import encode_pair, load_model, load_tokenizer, save_model
from kistack_torch.splitting import SplitModel
from kistack_torch.training import TrainingOptions, TrainingResult, train

from kistack.domain.artifacts import Artifact
from kistack.errors import DataError, ModelError
from kistack.plugins.stages import Context
from kistack_distill.judging import Distance, distance
from kistack_distill.objective import ResponseLoss
from kistack_distill.records import Signals
from kistack_distill.response import LEAST_PAIRS, choose_epochs, kept_of
from kistack_distill.settings import ResponseSettings
from kistack_distill.students import shallow

#: Share of all steps over which the learning rate rises.
_WARMUP = 0.1


def distill(settings: ResponseSettings, ctx: Context) -> dict[str, float]:
    """Make the student, teach it, write it, read it back and measure it; returns its facts.

    Raises:
        DataError: pairs that cannot be read, too few, most of them too long, or signals of other pairs.
        ModelError: a model that cannot be loaded or cut, or whose vocabulary is not its teacher's.
        StepFailed: the loss is not a number.
    """
    work = _Work(settings, ctx)
    learn, judge = work.split_examples()
    student, source = work.make_student()
    vocabulary = SplitModel(student).vocabulary
    signals = Signals(ctx.input("signals").path)
    signals.check(learn, settings.temperature, vocabulary)
    before = work.distance(student, judge)
    ctx.log(f"the untaught student: KL to the teacher {before.kl:.3f} nats per token on {len(judge)} held-out pairs")
    result = work.teach(student, learn, signals)
    out = ctx.out("model")
    student.config._name_or_path = ""  # noqa: SLF001 - a path of this machine would make equal models differ
    save_model(student.to(torch.bfloat16), work.tokenizer, out)
    copy_terms(source.path, out)
    params, layers = student.num_parameters(), student.config.num_hidden_layers
    del student
    after = work.distance(load_model(out, dtype=work.dtype, device=work.device), judge)
    ctx.log(
        f"the student: KL {after.kl:.3f} ({before.kl:.3f} before), same likeliest token {after.agreement:.0%} "
        f"({before.agreement:.0%}); {result.steps} steps, {result.tokens_per_second:.0f} tokens/s"
    )
    return {
        "bytes": folder_bytes(out),
        "params": params,
        "layers": layers,
        "kl_before": before.kl,
        "kl_after": after.kl,
        "agreement": after.agreement,
        "loss": result.losses[-1],
        "examples": len(learn),
        "held_out": len(judge),
    }


class _Work:
    """What the parts of one distillation share."""

    def __init__(self, settings: ResponseSettings, ctx: Context) -> None:
        self.settings, self.ctx = settings, ctx
        set_deterministic(ctx.seed)
        self.device = choose_device()
        self.dtype, self.reason = choose_dtype(self.device, settings.dtype)
        self.teacher = ctx.input("teacher")
        self.tokenizer = load_tokenizer(self.teacher.path)
        assert self.tokenizer.pad_token_id is not None
        self.pad = int(self.tokenizer.pad_token_id)
        self.everywhere = settings.positions == "all"

    def split_examples(self) -> tuple[list[Example], list[Example]]:
        """Examples to learn from, and examples of other entities to judge by.

        Raises:
            DataError: too few pairs are left.
        """
        pairs = read_pairs(self.ctx.input("pairs").path)
        shown = uses_passages(pairs, self.settings.passages)
        learn, judge = hold_out(pairs, self.settings.held_out, self.ctx.seed)
        encode = partial(
            encode_pairs,
            encode=partial(encode_pair, self.tokenizer),
            with_passages=shown,
            max_length=self.settings.max_length,
        )
        taught, left_out = encode([pairs[i] for i in learn])
        judged, _ = encode([pairs[i] for i in judge])
        if len(taught) + len(judged) < LEAST_PAIRS or not judged:
            raise DataError(
                f"distill/response: {len(taught) + len(judged)} usable pairs, at least {LEAST_PAIRS} are needed",
                "collect more pairs, raise max_length, or leave distillation out",
            )
        self.ctx.log(
            f"{len(taught)} pairs {'with' if shown else 'without'} passages"
            + (f", {left_out} left out as longer than {self.settings.max_length} tokens" if left_out else "")
            + f", {len(judged)} held out; {self.reason}, on {self.device}"
        )
        return taught, judged

    def make_student(self) -> tuple[Any, Artifact]:
        """The untaught student, and the model whose terms it inherits.

        Raises:
            ModelError: the teacher cannot be cut, or the given student is the teacher or has another vocabulary.
        """
        teacher = self._load(self.teacher)
        if self.settings.student == "layers":
            kept = kept_of(int(teacher.config.num_hidden_layers), self.settings)
            self.ctx.log(f"the student keeps layers {', '.join(map(str, kept))} of its teacher's")
            return shallow(teacher, kept), self.teacher
        given = self.ctx.input("model")
        if given.path == self.teacher.path:
            raise ModelError(
                "distill/response: student and teacher are the same model",
                "name a teacher in kistack.yaml, or set student: layers",
            )
        if load_tokenizer(given.path).get_vocab() != self.tokenizer.get_vocab():
            raise ModelError(
                f"{given.path}: its vocabulary is not that of its teacher {self.teacher.path}",
                "distil between models that share a tokenizer",
            )
        return self._load(given), given

    def distance(self, student: Any, examples: list[Example]) -> Distance:
        """How far ``student`` is from the teacher; the teacher is in memory only meanwhile."""
        return distance(
            SplitModel(self._load(self.teacher)),
            SplitModel(student),
            examples,
            everywhere=self.everywhere,
            budget=self.settings.batch_tokens,
            pad=self.pad,
        )

    def teach(self, student: Any, examples: list[Example], signals: Signals) -> TrainingResult:
        """Train all weights of ``student``."""
        settings = self.settings
        options = TrainingOptions(
            learning_rate=settings.learning_rate,
            epochs=choose_epochs(len(examples)) if settings.epochs == "auto" else settings.epochs,
            seed=self.ctx.seed,
            batch=settings.batch,
            batch_tokens=settings.batch_tokens,
            warmup=_WARMUP,
            recompute=settings.recompute,
        )
        loss = ResponseLoss(signals, alpha=settings.alpha, temperature=settings.temperature, everywhere=self.everywhere)
        return train(student, examples, loss, options, self.ctx, pad=self.pad)

    def _load(self, model: Artifact) -> Any:
        return load_model(model.path, dtype=self.dtype, device=self.device)
