"""The cost model scored on published measurements: each row predicted from its conditions, errors by kind.

File sizes and peaks are compared by relative error, speeds by the logarithm of the ratio, and within one model and
device by rank (Kendall's tau). Whether work fits is checked both ways: cases that ran out of memory must not be called
fitting, and every measured peak must be, where there is a quarter more memory than it took.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from kistack.advisor.bench.devices import Device
from kistack.advisor.bench.rows import Case, Row, out_of_memory_cases, to_base
from kistack.advisor.bench.situations import Inexpressible, Situation, read_row, recipe_of
from kistack.plugins import costs
from kistack.plugins.costs import Machine

#: Room around a measured peak in which it must be called fitting.
ROOM = 1.25
#: Groups of rows that are ranked.
_RANKED = 4
#: Tokens that a tutorial's pairs of sentences are padded to (BERT on MRPC: max_seq_length 128).
_PAIR_TOKENS = 128
_PAIRS = "pairs"
_PLAIN = frozenset({"f16", "fp16", "bf16"})
#: Between these a bandwidth or throughput is looked for that explains a row, per second.
_LEAST, _MOST, _HALVINGS = 1e8, 1e17, 100
#: Cores of a processor nobody has described, so that its bandwidth decides.
_MANY_CORES = 64

PEAKS = frozenset({"peak_mem", "train_peak_mem"})
SIZES = frozenset({"file_size", "linear_weight_bytes", "kv_cache"})


@dataclass(frozen=True, slots=True)
class Scored:
    """One row with its prediction (in base units), or the reason why it has none or does not count."""

    row: Row
    measured: float
    predicted: float | None = None
    reason: str = ""

    @property
    def counts(self) -> bool:
        """Whether it is scored."""
        return self.predicted is not None and not self.reason

    @property
    def error(self) -> float:
        """Relative error, positive where the prediction is too large."""
        return (self.predicted or 0.0) / self.measured - 1

    @property
    def log_ratio(self) -> float:
        """Logarithm of predicted over measured."""
        return math.log((self.predicted or math.nan) / self.measured)


@dataclass(frozen=True, slots=True)
class Judged:
    """A case that does not fit, and what the cost model says: ``peak`` bytes against ``memory``."""

    case: Case
    peak: float
    memory: float

    @property
    def fits(self) -> bool:
        """Whether the cost model calls it fitting."""
        return self.peak <= self.memory


@dataclass(frozen=True, slots=True)
class CostScores:
    """All rows and cases with their predictions, and the figures made of them."""

    rows: tuple[Scored, ...]
    cases: tuple[Judged, ...]
    taus: Mapping[str, float] = field(default_factory=dict)

    def of(self, *kinds: str) -> list[Scored]:
        """The scored rows of these kinds."""
        return [r for r in self.rows if r.counts and r.row.kind in kinds]

    @property
    def refused(self) -> list[Scored]:
        """Measured peaks that the cost model calls too large for a quarter more memory than they took."""
        return [r for r in self.of(*PEAKS) if (r.predicted or 0.0) > ROOM * r.measured]

    @property
    def false_fits(self) -> int:
        """Verdicts on fitting that are wrong, either way."""
        return sum(judged.fits for judged in self.cases) + len(self.refused)

    @property
    def tau(self) -> float | None:
        """Kendall's tau of the worst group of one model and device."""
        return min(self.taus.values(), default=None)

    def to_json(self) -> dict[str, Any]:
        """The scores as a JSON document; figures without rows are null."""
        return {
            "schema": 1,
            "rows": [_row_json(r) for r in self.rows],
            "file_size": _errors(self.of("file_size")),
            "peak_memory": {**_errors(self.of(*PEAKS)), "kinds": sorted(PEAKS)},
            "decode": {
                "median_abs_ln": _median(abs(r.log_ratio) for r in self.of("decode")),
                "kendall_tau": self.tau,
                "groups": dict(self.taus),
            },
            **{k: {"median_abs_ln": _median(abs(r.log_ratio) for r in self.of(k))} for k in ("prefill", "train_speed")},
            "false_fits": self.false_fits,
            "fits": {
                "out_of_memory_cases": len(self.cases),
                "called_fitting": [j.case.model_dump() for j in self.cases if j.fits],
                "peaks_refused": [_row_json(r) for r in self.refused],
            },
        }


def _row_json(r: Scored) -> dict[str, Any]:
    named = r.row.model_dump(include={"kind", "model", "hardware", "config", "source"})
    return {**named, "measured": r.measured, "predicted": r.predicted, "scored": r.counts, "reason": r.reason}


def _errors(rows: Sequence[Scored]) -> dict[str, Any]:
    errors = [abs(r.error) for r in rows]
    return {"median": _median(errors), "worst": max(errors, default=None), "rows": len(errors)}


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return median(found) if found else None


def score_costs(rows: Sequence[Row], cases: Sequence[Case] | None = None) -> CostScores:
    """Predict every row and judge every case (default: the shipped ones)."""
    fitted = _fit_devices(rows)
    scored = tuple(_score(row, fitted) for row in rows)
    judged = tuple(_judge(case) for case in (out_of_memory_cases() if cases is None else cases))
    return CostScores(scored, judged, _taus(scored))


def _score(row: Row, fitted: Mapping[tuple[str, str], tuple[Device, frozenset[Row]]]) -> Scored:
    measured = to_base(row)
    if measured is None:
        return Scored(row, row.measured, reason=f"the unit {row.unit!r} is not known")
    predict = _PREDICTORS.get(row.kind)
    if predict is None:
        return Scored(row, measured, reason=f"nothing predicts the kind {row.kind!r}")
    try:
        situation = read_row(row)
        device, used = fitted.get(_unnamed(row), (situation.device, frozenset[Row]()))
        predicted = predict(replace(situation, device=device))
    except Inexpressible as error:
        return Scored(row, measured, reason=str(error))
    return Scored(row, measured, predicted, "the device is fitted from it" if row in used else "")


def _judge(case: Case) -> Judged:
    """The peak of a case against the device's whole memory.

    Raises:
        Inexpressible: the case cannot be read.

    """
    situation = read_row(case.row)
    return Judged(case, _PREDICTORS[case.kind](situation), _device(situation).memory)


# --- what each kind of row is predicted by


def _device(it: Situation) -> Device:
    if it.device is None:
        raise Inexpressible("it names no device that is known, and no row in 16 bits to fit one from")
    return it.device


def _file_size(it: Situation) -> float:
    tokenizer = costs.GGUF_TOKEN_BYTES * it.model.fact("vocab") if costs.is_gguf(it.precision) else 0.0
    return costs.model_bytes(it.model, it.precision) + tokenizer


def _linear_weight_bytes(it: Situation) -> float:
    return costs.read_bytes(it.model, it.precision)


def _kv_cache(it: Situation) -> float:
    width = costs.bits(it.precision) / 8
    return costs.kv_cache_bytes(it.model, it.length("tokens") or it.prompt, it.batch, width)


def _width(precision: str) -> float:
    return 4.0 if precision in {"fp32", "f32"} else 2.0


def _peak_mem(it: Situation) -> float:
    return costs.inference_peak_bytes(
        it.model, it.precision, it.prompt, it.protocol.new, batch=it.batch, width=_width(it.precision)
    )


def _token_seconds(it: Situation, context: float) -> float:
    here = _device(it).machine
    overhead = costs.runtime_overhead(it.runtime, it.model, here, it.precision)
    return costs.decode_seconds(
        it.model, 1, here, 0.0, overhead, context=context * it.batch, precision=it.precision, batch=it.batch
    )


def _decode(it: Situation) -> float:
    if it.around:
        return it.batch / _token_seconds(it, it.prompt)
    new = it.protocol.new
    seconds = new * _token_seconds(it, it.prompt + new / 2)
    if it.protocol.timed_prompt:
        seconds += costs.prefill_seconds(it.model, it.prompt, _device(it).machine, it.precision)
    return it.batch * new / seconds


def _achieved_bandwidth(it: Situation) -> float:
    return costs.read_bytes(it.model, it.precision) * _decode(it)


def _prefill(it: Situation) -> float:
    tokens = it.length("processed") or max(2.0, it.prompt)
    return tokens / costs.prefill_seconds(it.model, tokens, _device(it).machine, it.precision)


def _train_peak_mem(it: Situation) -> float:
    return costs.training_peak_bytes(it.model, recipe_of(it))


def _train_speed(it: Situation) -> float:
    recipe = recipe_of(it)
    computed = it.model.fact("params") - costs.untied_params(it.model)
    trainable = min(computed, recipe.trainable)
    how = {"checkpointing": recipe.checkpointing, "fused": recipe.fused}
    return 1 / costs.train_seconds(computed, trainable, 1, _device(it).machine, recipe.precision, **how)


def _latency(it: Situation) -> float:
    """An encoder over pairs of sentences, on so many threads of a processor nobody has described."""
    pairs = _stated(it.words, _PAIRS)
    if not pairs or it.precision != "fp32":
        raise Inexpressible("it states no work that the cost model has a formula for")
    threads = max(1, _stated(it.words, "thread"))
    plain = Machine()
    here = replace(plain, cores=threads, flops_fp32=threads * plain.flops_fp32)
    return costs.embed_seconds(it.model, pairs * _PAIR_TOKENS, it.device.machine if it.device else here)


def _stated(words: str, what: str) -> int:
    """The number that stands before a word, perhaps with one other word between; 0 where there is none."""
    before = words.partition(what)[0].split()
    return next((int(w) for w in reversed(before[-2:]) if w.isdigit()), 0)


_PREDICTORS: Mapping[str, Callable[[Situation], float]] = {
    "file_size": _file_size,
    "linear_weight_bytes": _linear_weight_bytes,
    "kv_cache": _kv_cache,
    "peak_mem": _peak_mem,
    "decode": _decode,
    "achieved_bandwidth": _achieved_bandwidth,
    "prefill": _prefill,
    "train_peak_mem": _train_peak_mem,
    "train_speed": _train_speed,
    "latency": _latency,
}


# --- devices without a name


def _unnamed(row: Row) -> tuple[str, str]:
    """What tells one unnamed device from another: the words for it, and who measured."""
    return row.hardware, row.source


def _fit_devices(rows: Sequence[Row]) -> dict[tuple[str, str], tuple[Device, frozenset[Row]]]:
    """The devices that have no name: bandwidth from a 16-bit decode row, throughput from a 16-bit prefill row.

    With each come the rows used up.
    """
    found: dict[tuple[str, str], tuple[Device, frozenset[Row]]] = {}
    for row in rows:
        if row.kind not in {"decode", "prefill"} or (measured := to_base(row)) is None:
            continue
        try:
            it = read_row(row)
        except Inexpressible:
            continue
        if it.device is not None or it.precision not in _PLAIN:
            continue
        device, used = found.get(_unnamed(row), (_blank(it), frozenset[Row]()))
        if not any(u.kind == row.kind for u in used):
            found[_unnamed(row)] = (_fit(it, device, measured, row.kind), used | {row})
    # a throughput alone says nothing of decoding
    return {key: pair for key, pair in found.items() if any(u.kind == "decode" for u in pair[1])}


def _blank(it: Situation) -> Device:
    """A device of which only the kind is known: a GPU, unless the row speaks of a processor."""
    on_cpu = re.search(r"\bcpu\b|\bthreads?\b", it.words) is not None
    machine = Machine(
        cores=_MANY_CORES, gpus=0 if on_cpu else 1, gpu_free=math.inf, bandwidth=1e12, flops_fp32=1e13, flops_bf16=1e13
    )
    return Device("unnamed", machine, math.inf)


def _fit(it: Situation, device: Device, measured: float, kind: str) -> Device:
    """The device with the bandwidth (or throughput) at which the row is predicted as it was measured."""
    low, high = _LEAST, _MOST
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        if _PREDICTORS[kind](replace(it, device=_tuned(device, kind, middle))) < measured:
            low = middle
        else:
            high = middle
    return _tuned(device, kind, math.sqrt(low * high))


def _tuned(device: Device, kind: str, value: float) -> Device:
    if kind == "decode":
        return replace(device, machine=replace(device.machine, bandwidth=value))
    return replace(device, machine=replace(device.machine, flops_fp32=value, flops_bf16=value))


# --- ranks


def _taus(rows: Sequence[Scored]) -> dict[str, float]:
    groups: defaultdict[str, list[Scored]] = defaultdict(list)
    for r in rows:
        if r.counts and r.row.kind == "decode":
            groups[f"{r.row.model} on {r.row.hardware}"].append(r)
    return {
        name: kendall_tau([r.predicted or 0.0 for r in group], [r.measured for r in group])
        for name, group in groups.items()
        if len(group) >= _RANKED
    }


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b of two rankings of the same things: 1 where they agree, -1 where one is the other reversed.

    0 where one of them ties everything. Source: Kendall, The treatment of ties in ranking problems, 1945.
    """
    agreement = ties_first = ties_second = pairs = 0
    for (a, x), (b, y) in itertools.combinations(zip(first, second, strict=True), 2):
        one, other = (a > b) - (a < b), (x > y) - (x < y)
        agreement += one * other
        ties_first += one == 0
        ties_second += other == 0
        pairs += 1
    scale = math.sqrt((pairs - ties_first) * (pairs - ties_second))
    return agreement / scale if scale else 0.0
