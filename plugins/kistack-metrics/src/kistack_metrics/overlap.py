"""ROUGE-L and BLEU: how much of the reference texts a generated text shares. Imports their reference packages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

from kistack.evaluation.statistics import Floats, bootstrap_totals

#: N-grams of one to four tokens, as BLEU is defined.
ORDER = 4


def rouge_l(texts: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """F-measure of the longest common subsequence with the best reference of each text, 0 to 1.

    Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", ACL 2004; computed by the ``rouge-score`` package
    with its own tokens (lower-case ASCII letters and digits, no stemming).
    """
    scorer = RougeScorer(["rougeL"])
    return [
        max((float(scorer.score(wanted, text)["rougeL"].fmeasure) for wanted in accepted), default=0.0)
        for text, accepted in zip(texts, references, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class BleuResult:
    """Corpus BLEU, 0 to 100, with its interval, and the sentence BLEU of each text."""

    value: float
    low: float
    high: float
    sentences: list[float]


def bleu(texts: Sequence[str], references: Sequence[Sequence[str]], *, seed: int = 0) -> BleuResult:
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
    table = np.asarray(rows, dtype=np.float64)
    low, high = bootstrap_totals(table, corpus_bleu, seed=seed)
    value = float(corpus_bleu(table.sum(axis=0, keepdims=True))[0])
    return BleuResult(value, min(low, value), max(high, value), sentences)


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
