"""What a model can do while stages change it: the arithmetic of the quality model.

All figures are rows of ``kistack/data/effects.yaml``, passed in as ``v``; what a probe measured stands among them under
``probe NAME``. See ``quality`` for how a score is put together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kistack.advisor.effects import EffectTable
from kistack.advisor.features import Change, Features, Share
from kistack.plugins.costs import interpolate

#: Words in the names of metrics that ask for the answer's exact wording (``exact_match``, ``rouge_l``), where an
#: untrained model loses form; others look for the answer in what it says.
_EXACT_WORDS = frozenset({"exact", "em", "f1", "rouge", "bleu", "chrf"})
#: The most of anything that a model does.
BEST = 0.98
#: How steeply answers come back with tokens: 0.04 and 0.96 of them with half and with twice of what heals half.
#: Assumed, so that 6 k tokens leave next to nothing and 34 k nearly all, as measured.
_HEALING = 4.5
#: Figures that a probe measured stand beside the priors under this name.
PROBE = "probe "

Figures = Mapping[str, float]


@dataclass(slots=True)
class Answerer:
    """A model's abilities, all as shares.

    ``know`` of facts in its weights, ``taught_know`` the same after lessons (parts that were not taught keep
    ``know``), ``reading`` of passages, ``skill`` of the wanted behaviour, ``form`` of the exact wording, ``recall`` of
    the index; ``ceiling`` is what training can still make of it, ``other`` what it keeps of all else it could do.
    ``healed`` is the share of facts, known or read, that it can still put into an answer since layers were taken out.
    """

    know: float
    reading: float
    skill: float
    form: float
    params: float
    ceiling: float = BEST
    recall: float = 0.0
    passages: float = 0.0
    taught: bool = False
    misled: float = 1.0
    gate: float = 0.0
    taught_know: float = field(default=-1.0)
    fresh_weights: float = 1.0
    fresh_index: float = 1.0
    other: float = 1.0
    healed: float = 1.0

    @property
    def learnt(self) -> float:
        """Share of facts in the weights where lessons were given."""
        return self.know if self.taught_know < 0 else self.taught_know

    def facts(self, *, indexed: bool = True, taught: bool = True, weights: float = -1.0, index: float = -1.0) -> float:
        """Share of questions about facts that are answered, where their passages are indexed and their pairs taught.

        ``weights`` and ``index`` are the shares of content still true (default: those of the whole corpus).
        """
        fresh = self.fresh_weights if weights < 0 else weights
        known = (self.learnt if taught else self.know) * fresh
        if not self.passages:
            return self.healed * self.form * known
        found = self.recall * self.reading * (self.fresh_index if index < 0 else index) if indexed else 0.0
        sure = self.gate * known
        # Beside passages a model says less of what it knows; what the gate left unretrieved is not touched.
        rest = (known - sure) / (1 - sure) if sure < 1 else 0.0
        return self.healed * self.form * (sure + (1 - sure) * (found + (1 - found) * self.misled * rest))

    def score(self, features: Features) -> float:
        """The share of items done right over all parts."""
        if features.task == "behaviour":
            return self.skill * self.other
        facts = self.facts()
        if features.parts:
            total = math.fsum(p.share for p in features.parts) or 1.0
            facts = math.fsum(p.share * self._part(p, features) for p in features.parts) / total
        return facts if features.task == "facts" else (facts + self.skill * self.other) / 2

    def _part(self, part: Share, features: Features) -> float:
        stale = self.fresh_weights < 1 or self.fresh_index < 1
        weights = mean_freshness(part.hazard, features.retrain_days or features.horizon_days) if stale else 1.0
        index = mean_freshness(part.hazard, features.refresh_days) if stale else 1.0
        return self.facts(indexed=part.indexed, taught=part.taught, weights=weights, index=index)


def mean_freshness(hazard: float, days: float) -> float:
    """Mean share of content still true while its age grows from 0 to ``days``, at ``hazard`` changes per day."""
    x = hazard * days
    return 1.0 if x <= 0 else -math.expm1(-x) / x


def share(value: float) -> float:
    """A share that is neither certain nor impossible."""
    return min(BEST, max(0.01, value))


def _part_of(value: float) -> float:
    return min(1.0, max(0.0, value))


def untouched(features: Features, v: Figures) -> Answerer:
    """The base model as it comes."""
    decades = math.log10(features.params / 1e9)
    probed = {name for name, _, _ in features.measured}
    rare = v["closed_book"] + v["closed_book_per_decade"] * decades
    know = share(rare * v["popular_facts"] ** features.popular if features.popular else rare)
    exact = not _EXACT_WORDS.isdisjoint(re.split(r"[^a-z0-9]+", features.metric.lower()))
    return Answerer(
        know=v[PROBE + "closed_book"] if "closed_book" in probed else know,
        reading=v[PROBE + "reading"]
        if "reading" in probed
        else share(v["reading"] + v["reading_per_decade"] * decades),
        skill=v[PROBE + "skill"] if "skill" in probed else share(v["skill"] + v["skill_per_decade"] * decades),
        form=share(v["form"]) if exact else 1.0,
        params=features.params,
    )


def look_up(state: Answerer, features: Features, v: Figures) -> None:
    """Passages are found and put into the prompt."""
    k = features.passages
    probed = {name for name, _, _ in features.measured}
    state.passages = k
    state.misled = v["misled"]
    if features.task == "behaviour":
        state.skill *= 1 - v["disturbed"]
    if features.lookup == "everything":
        # A corpus that fits the prompt hides nothing, but the answer is harder to find in it; the smaller the harder.
        state.recall = BEST
        weak = 1 + max(0.0, 11 - math.log10(features.params))
        state.reading *= _part_of(1 - v["long_prompt"] * weak)
        return
    if features.lookup == "gated":
        state.gate = v["gate"]
    state.recall = v[PROBE + "recall"] if "recall" in probed else 1 - share(v["missed"] * k ** -v["missed_exponent"])
    if "reading" not in probed:
        state.reading *= max(0.0, 1 - v["distraction"] * (k - 1))


# --- learning


def learn(state: Answerer, change: Change, features: Features, v: Figures) -> None:
    """Training closes part of the gaps in reading, form, skill and knowledge, more with more data."""
    if change.data in {"raw_text", "paraphrases"}:
        _read_text(state, change, features, v)
        return
    if change.method == "rl":
        state.reading += max(0.0, state.ceiling - state.reading) * _part_of(v["reward_gain"])
        return
    pairs = change.pairs ** v["contrastive"] if change.objective == "contrastive" else change.pairs
    data = pairs / (pairs + max(1.0, v["pairs_half"])) * (v["taught_again"] if state.taught else 1.0)
    data *= method_share(change, v) * (1 - v["fp4_loss"] if change.objective == "fp4" else 1.0)
    lesson = reading_lesson(state.params, change, v)
    gap = max(0.0, state.ceiling - state.reading)
    if features.passages:
        state.reading += gap * max(-0.3, min(1.0, lesson * data))
    elif not change.with_passages:
        known = state.learnt
        state.taught_know = known + max(0.0, state.ceiling - known) * _part_of(v["facts_learnt"] * data)
    state.form += max(0.0, BEST - state.form) * _part_of(data)
    state.skill += max(0.0, state.ceiling - state.skill) * _part_of(v["skill_gain"] * data)
    state.taught = True
    _forget(state, change, features, v)


def reading_lesson(params: float, change: Change, v: Figures) -> float:
    """Share of the reading gap that a full lesson closes, by the reader's size: large ones have learnt to read before.

    Pairs that show passages still help a reader of some billions; pairs that show none harm it then.
    """
    decades = math.log10(params / 1e9)
    if change.with_passages:
        return v["reading_gain"] * min(1.0, max(0.0, 1 - decades / (1.6 * v["reading_room"])))
    return v["reading_gain_bare"] * min(1.0, max(-0.4, 1 - decades / v["reading_room"]))


def method_share(change: Change, v: Figures) -> float:
    """Effect of a way of training relative to an adapter with room to spare.

    Few data favour what trains few weights, many data what has room for them: an adapter holds about two bits a
    parameter (Schulman et al. 2025), and a token asks for about one.
    """
    few = 1 / (1 + (change.pairs / 300) ** 2) if change.pairs else 0.0
    if change.method in {"full", "partial", "full_cpt", "pretrain"}:
        return 1 - (1 - v["full_few"]) * few
    if change.method in {"prefix", "ia3"}:
        return 0.9 - (0.9 - v["prefix_few"]) * few
    if change.method in {"lora", "qlora"} and change.trained and change.tokens:
        return adapter_share(change, v)
    return 1.0


def adapter_share(change: Change, v: Figures) -> float:
    """Effect of an adapter relative to training all weights, by the bits it holds for each token."""
    room = 2 * change.trained / change.tokens
    return min(1.0, max(0.1, v["capacity"] + v["capacity_per_decade"] * math.log10(room)))


def _read_text(state: Answerer, change: Change, features: Features, v: Figures) -> None:
    """Training on documents as they are: facts hardly stick, a new skill takes very many tokens."""
    gain = v["raw_text_facts"] + (v["paraphrases"] if change.data == "paraphrases" else 0.0)
    known = state.learnt
    if gain >= 0:
        state.taught_know = known + max(0.0, state.ceiling - known) * gain
    else:
        state.taught_know = known * (1 + gain)
    state.reading *= 1 - v["raw_text_reading"]
    plenty = change.tokens / (change.tokens + 1e9) if change.tokens else 0.5
    state.skill += max(0.0, state.ceiling - state.skill) * _part_of(v["skill_gain"] * plenty * method_share(change, v))
    _forget(state, change, features, v)


def _forget(state: Answerer, change: Change, features: Features, v: Figures) -> None:
    if features.forgetting_matters:
        few = change.method in {"lora", "qlora", "partial", "prefix", "ia3"}
        state.other *= 1 - v["forgetting_partial" if few else "forgetting_full"]


# --- distilling


def distill(state: Answerer, change: Change, features: Features, v: Figures) -> float:
    """A smaller student loses ability; one that a larger teacher teaches gains some of the teacher's.

    Returns the share of ability lost.
    """
    removed = 1 - change.ratio
    decades = max(0.0, 9 - math.log10(max(1.0, change.tokens)))
    loss = removed * (v["student_loss"] + v["student_loss_per_decade"] * decades) if removed else 0.0
    loss = min(0.95, max(0.0, loss * (v["narrower"] if change.narrower else 1.0)))
    weaken(state, 1 - loss)
    state.healed *= healed(change, v)
    state.params *= change.ratio
    if teaches(features, change):
        scale = math.log10(change.teacher / features.params)
        passed = v[transfer_figure(change)]
        for name in ("reading", "skill"):
            own = getattr(state, name)
            theirs = share(own + v[f"{name}_per_decade"] * scale)
            setattr(state, name, own + passed * max(0.0, theirs - own))
    learn(state, change, features, v)
    if teaches(features, change):
        # Beyond what labelled answers teach, the teacher's own ones close part of what is left (or spoil some of it).
        left = max(0.0, state.ceiling - state.skill)
        state.skill += 0.3 * v[transfer_figure(change)] * left
    return loss


def healed(change: Change, v: Figures) -> float:
    """Share of its answers about facts that a model finds again after parts were taken out of it.

    Fewer tokens than ``student_heals`` leave nearly none: form comes back first, names and numbers last. A model that
    loses less than ``student_cliff`` has less to find again, in proportion, and so has one made narrower. Where nobody
    says how many tokens it was taught on, nothing is held against it.
    """
    if not change.tokens:
        return 1.0
    again = 1 / (1 + math.pow(math.pow(10, v["student_heals"]) / change.tokens, _HEALING))
    gone = min(1.0, (1 - change.ratio) / max(0.01, v["student_cliff"]))
    return 1 - gone * (v["narrower"] if change.narrower else 1.0) * (1 - again)


def transfer_figure(change: Change) -> str:
    """The row of the table for a way of distilling."""
    named = {"on_policy": "transfer_on_policy", "sequence": "transfer_sequence"}
    named["sequence_rationale"] = "transfer_rationale"
    return named.get(change.method, "transfer_response")


def teaches(features: Features, change: Change) -> bool:
    """Whether the teacher is large enough to know better."""
    return change.teacher > 1.2 * features.params


def weaken(state: Answerer, kept: float) -> None:
    """What a model can do, and what training can still make of it, shrink by the same share."""
    state.know *= kept
    if state.taught_know >= 0:
        state.taught_know *= kept
    state.reading *= kept
    state.skill *= kept
    state.ceiling *= kept


# --- quantizing


def quantize(state: Answerer, change: Change, features: Features, v: Figures, table: EffectTable) -> float:
    """Fewer bits weaken everything; returns the share of ability kept."""
    before = _kept(change.bits[0], "", state.params, features, v, table)
    after = _kept(change.bits[1], change.method, state.params, features, v, table)
    kept = min(1.0, after / before)
    if change.method == "qat":
        kept += (1 - kept) * v["recovered"]
    weaken(state, kept)
    return kept


def _kept(stored: float, method: str, params: float, features: Features, v: Figures, table: EffectTable) -> float:
    """Share of ability kept at ``stored`` bits per weight: relative loss grows as the model shrinks."""
    relative = interpolate(table.loss_by_bits, stored)
    if method == "int8":
        relative = max(relative, v["ungrouped_int8"])
    loss = v["bits_loss"] * relative * (params / 7e9) ** -v["bits_loss_exponent"]
    if method in {"activations", "qat"}:
        loss += v["activations_loss"]
    if method == "dynamic":
        # Encoders lose next to nothing, decoders see their own errors again at every token.
        loss += v["dynamic_loss"] * (0.2 if features.encoder else 1.0)
    return 1.0 - float(min(0.95, loss))
