"""ROUGE, BLEU and chrF: how much of the reference texts a generated text shares. Imports their reference packages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

from kistack.evaluation.statistics import Floats, bootstrap_totals

#: N-grams of one to four tokens, as BLEU is defined.
ORDER = 4

#: ROUGE by the names of kistack, and of the reference package.
ROUGE = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}

#: chrF counts recall twice, as ``sacrebleu`` does by default.
_BETA = 2


def rouge(texts: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, list[float]]:
    """F-measures of shared words, word pairs and longest common subsequence, each with its best reference, 0 to 1.

    Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", ACL 2004; computed by the ``rouge-score`` package
    with its own tokens (lower-case ASCII letters and digits, no stemming). Returns ``rouge_1``, ``rouge_2``,
    ``rouge_l``, one number per text.
    """
    scorer = RougeScorer(list(ROUGE.values()))
    found: dict[str, list[float]] = {metric: [] for metric in ROUGE}
    for text, accepted in zip(texts, references, strict=True):
        scored = [scorer.score(wanted, text) for wanted in accepted]
        for metric, name in ROUGE.items():
            found[metric].append(max((float(s[name].fmeasure) for s in scored), default=0.0))
    return found


@dataclass(frozen=True, slots=True)
class CorpusResult:
    """A score of all texts together, 0 to 100, with its interval, and the score of each text by itself."""

    value: float
    low: float
    high: float
    sentences: list[float]


def bleu(texts: Sequence[str], references: Sequence[Sequence[str]], *, seed: int = 0) -> CorpusResult:
    """BLEU of Papineni et al. (ACL 2002) as ``sacrebleu`` computes it by default (tokens 13a, smoothing exp).

    The corpus score comes from n-gram counts summed over all texts; its interval from resampling texts and summing
    their counts anew. Sentence scores use the effective order: n-grams longer than the text are left out.
    """
    metric = BLEU(effective_order=True)
    rows, sentences = [], []
    for text, accepted in zip(texts, references, strict=True):
        found = metric.sentence_score(text, list(accepted))
        rows.append([found.sys_len, found.ref_len, *found.counts, *found.totals])
        sentences.append(float(found.score))
    return _corpus(rows, corpus_bleu, sentences, seed)


def chrf(texts: Sequence[str], references: Sequence[Sequence[str]], *, seed: int = 0) -> CorpusResult:
    """The character F-score of Popović (WMT 2015) as ``sacrebleu`` computes it by default (chrF2, without white space).

    It needs no words, so it also judges short answers and languages without spaces. Of several references the one
    that a text is closest to counts.
    """
    metric = CHRF()
    streams = [[r[n] if n < len(r) else None for r in references] for n in range(max(map(len, references), default=0))]
    # The counts of each text, from which the corpus score is made; no public name gives them.
    rows = metric._extract_corpus_statistics(list(texts), streams)  # noqa: SLF001
    sentences = corpus_chrf(np.asarray(rows, dtype=np.float64)).tolist()
    return _corpus(rows, corpus_chrf, sentences, seed)


def is_measurable(references: Sequence[Sequence[str]]) -> bool:
    """Whether any reference has the four tokens that a 4-gram needs; corpus BLEU is 0 by definition otherwise."""
    tokenise = BLEU().tokenizer
    return any(len(tokenise(text).split()) >= ORDER for accepted in references for text in accepted)


def corpus_bleu(sums: Floats) -> Floats:
    """BLEU (r,), 0 to 100, from summed counts (r, 10): text length, reference length, 4 matches, 4 totals.

    Without the effective order, with exponential smoothing: an order without a match counts as half a match, the next
    such order as a quarter, and so on. No match at all, or no n-gram of some order, is 0.
    """
    length, wanted = sums[:, 0], sums[:, 1]
    matches, totals = sums[:, 2 : 2 + ORDER], sums[:, 2 + ORDER :]
    missing = np.logical_and(matches == 0, totals > 0)
    smoothed = np.where(missing, 0.5 ** np.cumsum(missing, axis=1), matches)
    scored = np.logical_and(np.all(totals > 0, axis=1), np.any(matches > 0, axis=1))
    # Rows that score 0 are computed as if every n-gram matched, then overwritten, to keep the logarithm finite.
    shares = np.where(scored[:, np.newaxis], smoothed / np.maximum(totals, 1.0), 1.0)
    brevity = np.minimum(0.0, 1.0 - wanted / np.maximum(length, 1.0))
    score: Floats = np.where(scored, 100.0 * np.exp(np.log(shares).mean(axis=1) + brevity), 0.0)
    return score


def corpus_chrf(sums: Floats) -> Floats:
    """ChrF (r,), 0 to 100, from summed counts (r, 18): for each length n-grams of the text, of the reference, shared.

    Precision and recall are averaged over the lengths that both sides have (the effective order), then joined.
    """
    given, wanted, shared = (sums[:, n::3] for n in range(3))
    both = np.logical_and(given > 0, wanted > 0)
    orders = np.maximum(both.sum(axis=1), 1)
    precision = np.where(both, shared / np.maximum(given, 1.0), 0.0).sum(axis=1) / orders
    recall = np.where(both, shared / np.maximum(wanted, 1.0), 0.0).sum(axis=1) / orders
    weight = _BETA**2
    joined = weight * precision + recall
    score: Floats = np.where(joined > 0, 100 * (1 + weight) * precision * recall / np.where(joined > 0, joined, 1), 0)
    return score


def _corpus(
    rows: Sequence[Sequence[float]], combine: Callable[[Floats], Floats], sentences: list[float], seed: int
) -> CorpusResult:
    table = np.asarray(rows, dtype=np.float64)
    low, high = bootstrap_totals(table, combine, seed=seed)
    value = float(combine(table.sum(axis=0, keepdims=True))[0])
    return CorpusResult(value, min(low, value), max(high, value), sentences)
