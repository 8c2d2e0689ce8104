"""The core's own stages: they join what plugins bring, and come in by the same door."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from kistack.domain.artifacts import ANSWERS_FILE, PAIRS_FILE, SPEED_FILE, Type
from kistack.domain.facts import Profile
from kistack.domain.prompt import Passage, Prompt, template_of
from kistack.domain.records import Estimate
from kistack.errors import StepFailed
from kistack.plugins.energy import EnergyMeter
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.memory import gpu_peak_bytes, resident_peak_bytes
from kistack.plugins.sessions import Completion, IndexSession, ModelSession
from kistack.plugins.stages import Context, Load, Out, Port, Settings, Stage, Traits

#: Queries embedded and searched per second by a small sentence encoder on two CPU cores (measured, MiniLM-L6: 320
#: questions in 3.7 s).
_QUERIES_PER_SECOND = 90.0
#: Resident memory of a worker of kistack before it loads anything. Measured.
PYTHON_BYTES = 0.043e9
#: Memory of an opened index whose retriever does not say (measured, MiniLM-L6 on numpy).
_INDEX_BYTES = 0.12e9
#: Seconds until a worker has opened an index (measured 0.2 to 1 s).
_START_SECONDS = 1.0
#: Seconds until a worker has opened a model (measured 2 to 10 s, most of it imports).
_RUNTIME_SECONDS = 6.0
#: Single answers below which a median says little.
_LEAST_SINGLES = 5
#: Answers written at once where the runtime chooses.
_TOGETHER = 16
#: Stages after which a model ends its answer by itself.
_TEACHING = ("tune/", "distill/")


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file, one after the other."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> int:
    """Write one JSON object a line; returns the bytes written."""
    text = "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return len(text.encode())


class PairsPassagesSettings(Settings):
    """How a training pair shows what was found."""

    order: Literal["shuffled", "ranked"] = Field(
        default="ranked", description="ranked, as questions are answered, or shuffled, so that the place tells nothing"
    )


class PairsPassages(Stage):
    """Give each training pair the passages that its question retrieves, so that a trainer learns to read them.

    In the order of their rank, as questions are answered too, a reader learns where the answer mostly stands, which is
    true and quickly learnt. Shuffled, it has to read all of them, which takes longer to learn: after one epoch of 320
    pairs a 135 M model answered 81 % of the questions instead of 90 % (docs/log.md).
    """

    name = "pairs/passages"
    summary = "pairs enriched with the passages that the index returns for their questions"
    Settings = PairsPassagesSettings

    def traits(self, settings: PairsPassagesSettings) -> Traits:
        """Put in automatically where a trainer prefers pairs with passages and the plan retrieves."""
        return Traits(
            consumes={
                "pairs": Port(kind="pairs", where={"passages": "without"}, hint="these pairs already carry passages"),
                "index": Port(kind="index", opened=True, gives=("search",), hint="retrieve before this step"),
            },
            produces={"pairs": Out(kind="pairs", like="pairs", set={"passages": "with"}, same=True)},
            auto=True,
            processor=True,
        )

    def estimate(self, settings: PairsPassagesSettings, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Time of embedding and searching each question once."""
        pairs, index = inputs["pairs"], inputs["index"]
        count = pairs.fact("count", 1)
        added = index.fact("passages", 3) * index.fact("passage_tokens", 50)
        facts = {
            "bytes": pairs.fact("bytes", 200 * count) + count * added * 4,
            "prompt_tokens": pairs.fact("prompt_tokens", 40) + added,
            "tokens": pairs.fact("tokens", 60 * count) + count * added,
            "passages": index.fact("passages", 3),
        }
        costs = {
            "seconds": _START_SECONDS + count / _QUERIES_PER_SECOND,
            "peak_bytes": PYTHON_BYTES + _searching_bytes(index),
        }
        return Estimate(costs, {"pairs": facts})

    def run(self, settings: PairsPassagesSettings, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Search every question and write the pairs with what was found."""
        source = ctx.input("pairs")
        index: IndexSession = ctx.open("index")
        rows = list(read_jsonl(source.path / PAIRS_FILE))
        found = index.search([r["question"] for r in rows])
        for row, passages in zip(rows, found, strict=True):
            shown = passages if settings.order == "ranked" else shuffled(passages, row["question"])
            row["passages"] = [asdict(p) for p in shown]
        out = ctx.out("pairs")
        template_of(source.path).write(out)
        written = write_jsonl(out / PAIRS_FILE, rows)
        ctx.progress(len(rows), len(rows), "pairs")
        words = sum(len(p.text.split()) for passages in found for p in passages)
        return {
            "pairs": {
                "count": len(rows),
                "bytes": written,
                "passages": sum(map(len, found)) / max(1, len(rows)),
                "passage_words": words / max(1, sum(map(len, found))),
            }
        }


def shuffled(passages: Sequence[Passage], question: str) -> list[Passage]:
    """The passages in an order that depends on the question and on each passage's text alone."""
    return sorted(passages, key=lambda p: hashlib.sha256(f"{question}\n{p.id}\n{p.text}".encode()).digest())


#: Tokens that every answer may have, and how many more than the labelled ones have on average.
_LEAST_ANSWER, _OVER_MEAN, _ANSWER_STEP, _MOST_ANSWER = 32, 2.0, 16, 4096
#: How much longer than the mean prompt one may be that still leaves room for an answer.
_LONG_PROMPT = 1.5


def longest_answer(mean_tokens: float, context: float = 0.0, prompt_tokens: float = 0.0) -> int:
    """How long an answer may become where labelled ones have so many tokens on average: what is cut off is not judged.

    Twice as many, in steps of 16, so that a few more labels do not make another question of it; but no more than is
    left of the model's ``context`` beside a prompt half as long again as the mean one (0: nobody knows).
    """
    wanted = _ANSWER_STEP * math.ceil(_OVER_MEAN * mean_tokens / _ANSWER_STEP)
    room = _ANSWER_STEP * int((context - _LONG_PROMPT * prompt_tokens) // _ANSWER_STEP) if context else _MOST_ANSWER
    return max(_LEAST_ANSWER, min(wanted, room, _MOST_ANSWER))


class AnswerSettings(Settings):
    """How questions are put to a model."""

    max_new_tokens: int = Field(
        default=0, ge=0, le=4096, description="longest answer, in tokens; 0 goes by how long labelled answers are"
    )
    batch: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="questions answered at once; 0: as many as the runtime answers alike every time",
    )
    few_shot: int = Field(default=0, ge=0, le=32, description="training pairs shown before each question")
    latency_items: int = Field(
        default=16, ge=0, le=1000, description="questions answered again one by one to measure latency, at most"
    )
    latency_seconds: float = Field(
        default=12.0, ge=0, description="seconds after which no more are answered so, once there are 5 of them"
    )


class AnswerItems(Stage):
    """Answer held-out questions with a model, through an index where there is one, and time it.

    Where there is none, an item that carries passages of its own is shown those.
    """

    name = "answer/items"
    summary = "answers of a model (and index) to the held-out questions, with timings"
    Settings = AnswerSettings

    def traits(self, settings: AnswerSettings) -> Traits:
        """Timed, so its result is never reused on another machine."""
        consumes = {
            "model": Port(kind="model", opened=True, gives=("generate",), hint="install a runtime for this format"),
            "items": Port(kind="items", hint="hold out some pairs for evaluation"),
            "index": Port(kind="index", opened=True, gives=("search",), optional=True),
        }
        if settings.few_shot:
            consumes["examples"] = Port(kind="pairs", slot="pairs", hint="few-shot prompts need training pairs")
        return Traits(
            consumes=consumes,
            produces={"answers": Out(kind="answers", format="jsonl")},
            deterministic=False,
            timed=True,
        )

    def resolve(self, settings: AnswerSettings, profile: Profile, inputs: Mapping[str, Type]) -> AnswerSettings:
        """The longest answer, by the labelled ones."""
        if settings.max_new_tokens or "items" not in inputs:
            return settings
        context = inputs["model"].fact("context") if "model" in inputs else 0.0
        longest = longest_answer(inputs["items"].fact("answer_tokens"), context, _prompt_tokens(settings, inputs))
        return settings.model_copy(update={"max_new_tokens": longest})

    def estimate(self, settings: AnswerSettings, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """All questions in batches and some one by one, at what the runtime says of both."""
        settings = self.resolve(settings, profile, inputs)
        model, items = inputs["model"], inputs["items"]
        index = inputs.get("index")
        count, prompt = items.fact("count", 1), _prompt_tokens(settings, inputs)
        new = float(settings.max_new_tokens)
        if settings.few_shot or any(stage.startswith(_TEACHING) for stage in model.line):
            new = min(new, max(8.0, 1.5 * items.fact("answer_tokens", 12)))  # who was shown how to answer stops then
        together = settings.batch or _TOGETHER
        alone = _answering(model, Load(prompt, new), profile)
        batched = _answering(model, Load(prompt, new, together, repeatable=not settings.batch), profile)
        rate, latency = batched.cost("tokens_per_second"), alone.cost("latency_seconds")
        singles = min(count, settings.latency_items)
        if latency:
            singles = min(singles, max(_LEAST_SINGLES, math.ceil(settings.latency_seconds / latency)))
        seconds = _RUNTIME_SECONDS + singles * latency
        seconds += count * new / rate if rate else 0.0
        peak = PYTHON_BYTES + batched.cost("peak_bytes")
        if index is not None:
            seconds += count / _QUERIES_PER_SECOND + _START_SECONDS
            peak += _searching_bytes(index)
        facts = {"bytes": count * (300 + (4 * prompt if index is not None else 0)), "count": count}
        return Estimate({"seconds": seconds, "peak_bytes": peak}, {"answers": facts})

    def run(self, settings: AnswerSettings, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Answer all questions in batches, then some of them one by one."""
        source = ctx.input("items")
        if not settings.max_new_tokens:
            longest = longest_answer(source.fact("answer_tokens"))
            settings = settings.model_copy(update={"max_new_tokens": longest})
        items = list(read_jsonl(source.path / PAIRS_FILE))
        if not items:
            raise StepFailed("no held-out question to answer", "hold out some pairs: knowledge.split in kistack.yaml")
        found = _search(ctx, items)
        examples = _examples(ctx, settings.few_shot)
        template = template_of(source.path)
        prompts: list[Prompt] = [
            template.render(item["question"], passages, examples) for item, passages in zip(items, found, strict=True)
        ]
        model: ModelSession = ctx.open("model")
        total = len(prompts)
        meter = EnergyMeter()
        start = time.perf_counter()
        done = model.generate(
            prompts,
            max_new_tokens=settings.max_new_tokens,
            batch=settings.batch,
            on_done=lambda n: ctx.progress(n, total, "answers"),
        )
        elapsed, joules = time.perf_counter() - start, meter.joules()
        out = ctx.out("answers")
        written = write_jsonl(out / ANSWERS_FILE, [_row(*r) for r in zip(items, found, done, strict=True)])
        singles = _answer_alone(ctx, model, prompts[: settings.latency_items], settings)
        searching = _search_alone(ctx, [i["question"] for i in items[: len(singles)]])
        energy = {"energy_unavailable": meter.unavailable} if joules is None else {"joules_per_answer": joules / total}
        speed = {**_speed(singles, searching, done, elapsed), **energy}
        (out / SPEED_FILE).write_text(json.dumps(speed, sort_keys=True), encoding="utf-8")
        return {"answers": {"count": total, "bytes": written}}


def _prompt_tokens(settings: AnswerSettings, inputs: Mapping[str, Type]) -> float:
    """Mean tokens of a prompt: the question, its passages, and the examples before it."""
    items, index = inputs["items"], inputs.get("index")
    prompt = items.fact("prompt_tokens", 60)
    if index is not None:
        prompt += index.fact("passages", 3) * index.fact("passage_tokens", 50)
    return prompt + settings.few_shot * (items.fact("prompt_tokens", 40) + items.fact("answer_tokens", 8))


def _answering(model: Type, load: Load, profile: Profile) -> Estimate:
    """What the runtime says of answering so; by plain arithmetic where nobody says what opens the model."""
    from kistack.plugins.costs import answer_seconds, inference_peak_bytes, machine

    if model.serves is not None:
        found: Estimate = model.serves(load)
        return found
    precision = model.facets.get("precision", "bf16")
    seconds = answer_seconds(model, load.prompt_tokens, load.new_tokens, machine(profile), precision)
    peak = inference_peak_bytes(model, precision, load.prompt_tokens, load.new_tokens, batch=load.concurrency)
    rate = load.new_tokens / seconds if seconds else 0.0
    return Estimate({"latency_seconds": seconds, "tokens_per_second": rate, "peak_bytes": peak})


def _searching_bytes(index: Type) -> float:
    """Memory of an opened index."""
    return _INDEX_BYTES if index.serves is None else float(index.serves(Load()).cost("peak_bytes"))


def _search(ctx: Context, items: Sequence[Mapping[str, Any]]) -> list[list[Passage]]:
    if not ctx.inputs("index"):
        return [[Passage(**p) for p in item.get("passages") or ()] for item in items]
    index: IndexSession = ctx.open("index")
    return index.search([i["question"] for i in items])


def _examples(ctx: Context, count: int) -> list[tuple[str, str]]:
    """The first pair of each of ``count`` evenly spaced places: the same ones every time, spread over the file."""
    if not count:
        return []
    rows = list(read_jsonl(ctx.input("examples").path / PAIRS_FILE))
    step = max(1, len(rows) // count)
    return [(r["question"], r["answers"][0]) for r in rows[::step][:count]]


def _row(item: Mapping[str, Any], passages: Sequence[Passage], done: Completion) -> dict[str, Any]:
    return {
        "id": item["id"],
        "question": item["question"],
        "answers": item["answers"],
        "gold": item.get("gold", []),
        "group": item.get("group", ""),
        **({"unanswerable": True} if item.get("unanswerable") else {}),
        "text": done.text,
        "passages": [asdict(p) for p in passages],
        "prompt_tokens": done.prompt_tokens,
        "new_tokens": done.new_tokens,
        "seconds": done.seconds,
    }


def _search_alone(ctx: Context, questions: Sequence[str]) -> list[float]:
    """Seconds that each question's search takes by itself; zeros where nothing is retrieved."""
    if not ctx.inputs("index"):
        return [0.0] * len(questions)
    index: IndexSession = ctx.open("index")
    taken = []
    for question in questions:
        start = time.perf_counter()
        index.search([question])
        taken.append(time.perf_counter() - start)
    return taken


def _answer_alone(
    ctx: Context, model: ModelSession, prompts: Sequence[Prompt], settings: AnswerSettings
) -> list[Completion]:
    """Answers one by one, until there are enough or it has taken long enough."""
    singles: list[Completion] = []
    start = time.perf_counter()
    for number, prompt in enumerate(prompts, 1):
        if number > _LEAST_SINGLES and time.perf_counter() - start > settings.latency_seconds:
            break
        singles += model.generate([prompt], max_new_tokens=settings.max_new_tokens, batch=1)
        ctx.progress(number, len(prompts), "single answers")
    return singles


def _speed(
    singles: Sequence[Completion], searching: Sequence[float], batched: Sequence[Completion], elapsed: float
) -> dict[str, Any]:
    new = sum(c.new_tokens for c in singles)
    seconds = math.fsum(c.seconds for c in singles)
    return {
        "latency_seconds": [c.seconds + s for c, s in zip(singles, searching, strict=True)],
        "first_token_seconds": [c.first_token_seconds + s for c, s in zip(singles, searching, strict=True)],
        "query_seconds": list(searching),
        "tokens_per_second": new / seconds if seconds else 0.0,
        "batched_answers_per_second": len(batched) / elapsed if elapsed else 0.0,
        "batched_tokens_per_second": sum(c.new_tokens for c in batched) / elapsed if elapsed else 0.0,
        "peak_bytes": gpu_peak_bytes() or resident_peak_bytes(),
    }


def serving_load(profile: Profile, passages_tokens: float = 0.0) -> Load:
    """What one answer asks for in this scenario, with ``passages_tokens`` of retrieved text in its prompt."""
    return Load(
        prompt_tokens=profile.number("pairs.prompt_tokens", 60) + passages_tokens,
        new_tokens=max(8.0, 1.5 * profile.number("pairs.answer_tokens", 16)),
        concurrency=int(profile.number("scenario.concurrency", 1)),
    )


@hookimpl
def kistack_register_stages() -> list[type[Stage]]:
    """The stages that belong to no technique."""
    from kistack.plugins.selecting import SelectDocuments, SelectPairs

    return [PairsPassages, AnswerItems, SelectDocuments, SelectPairs]
