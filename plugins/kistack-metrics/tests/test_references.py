"""The metrics against their reference implementations, on pairs that the demo really asks and on mutated ones.

The references are ``rouge-score`` and ``sacrebleu`` themselves, and the rules of the SQuAD v1.1 evaluation (Rajpurkar
et al. 2016) written down a second time, step by step as they are published.
"""

import random
import re
import string
from collections import Counter

import numpy as np
import pytest
from kistack_metrics.normalisation import exact_match, token_f1
from kistack_metrics.overlap import bleu, chrf, corpus_chrf, rouge
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

from kistack.demo.documents import documents_as_of
from kistack.demo.pairs import pairs_as_of

WORDS = (
    *("the", "cat", "sat", "on", "a", "mat;", "version", "3.11.4", "(LTS)", "was", "released", "2024-10-31", "-"),
    *("it's", "Zürich's", "1,200th", "O'Neil!", "漢字", "\u2014"),
)


def real_pairs(count=200):
    """What a system may say to the demo's questions: the answer, a note, another question's answer, and mixtures."""
    notes = {d.id: d.text for of in documents_as_of().values() for d in of}
    pairs = pairs_as_of()[:count]
    made = []
    for number, pair in enumerate(pairs):
        note, other = notes[pair.gold[0]], pairs[number - 1].answers[0]
        text = (pair.answers[-1], note, other, f"{note} {other}.", f"The {pair.answers[0]}")[number % 5]
        made.append((text, (*pair.answers, note) if number % 3 else pair.answers))
    return made


def fuzzed_pairs(count=500):
    source = random.Random(7)
    made = []
    for _ in range(count):
        wanted = source.choices(WORDS, k=source.randint(1, 20))
        kept = [w if source.random() < 0.7 else source.choice(WORDS) for w in wanted]
        source.shuffle(kept[: source.randint(0, len(kept))])
        text = " ".join(kept[: source.randint(0, len(kept))])
        others = [" ".join(source.choices(WORDS, k=source.randint(1, 15))) for _ in range(source.randint(0, 2))]
        made.append((text, (" ".join(wanted), *others)))
    return made


@pytest.fixture(scope="module", params=[real_pairs, fuzzed_pairs], ids=["200 real", "500 fuzzed"])
def pairs(request):
    made = request.param()
    assert len(made) == {real_pairs: 200, fuzzed_pairs: 500}[request.param]
    texts, references = zip(*made, strict=True)
    return texts, references


def streams_of(references):
    """References as ``sacrebleu`` reads them: the first of every text, the second of every text, …"""
    return [[r[n] if n < len(r) else None for r in references] for n in range(max(map(len, references)))]


def squad_tokens(text):
    text = text.lower()
    text = "".join(character for character in text if character not in set(string.punctuation))
    text = re.sub(r"\b(a|an|the)\b", " ", text)
    return text.split()


def squad_f1(text, answer):
    given, wanted = squad_tokens(text), squad_tokens(answer)
    if not given or not wanted:
        return float(given == wanted)
    same = sum((Counter(given) & Counter(wanted)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(given), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


def test_exact_match_and_f1_are_those_of_squad(pairs):
    for text, accepted in zip(*pairs, strict=True):
        assert exact_match(text, accepted) == max(float(squad_tokens(text) == squad_tokens(a)) for a in accepted)
        assert token_f1(text, accepted) == pytest.approx(max(squad_f1(text, a) for a in accepted))


def test_rouge_is_that_of_rouge_score(pairs):
    texts, references = pairs
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    found = rouge(texts, references)
    for number, (text, accepted) in enumerate(zip(texts, references, strict=True)):
        expected = [scorer.score(wanted, text) for wanted in accepted]
        for metric, name in (("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")):
            assert found[metric][number] == max(e[name].fmeasure for e in expected)


def test_bleu_is_that_of_sacrebleu(pairs):
    texts, references = pairs
    found = bleu(texts, references)
    assert found.value == pytest.approx(BLEU().corpus_score(texts, streams_of(references)).score)
    single = BLEU(effective_order=True)
    expected = [single.sentence_score(t, list(r)).score for t, r in zip(texts, references, strict=True)]
    assert found.sentences == pytest.approx(expected)


def test_chrf_is_that_of_sacrebleu(pairs):
    texts, references = pairs
    found = chrf(texts, references)
    metric = CHRF()
    assert found.value == pytest.approx(metric.corpus_score(texts, streams_of(references)).score)
    expected = [metric.sentence_score(t, list(r)).score for t, r in zip(texts, references, strict=True)]
    assert found.sentences == pytest.approx(expected)
    assert found.low < found.value < found.high


def test_every_resampled_chrf_is_what_sacrebleu_computes_from_the_same_counts(pairs):
    texts, references = pairs
    metric = CHRF()
    source = random.Random(2)
    for _ in range(3):
        drawn = source.choices(range(len(texts)), k=len(texts))
        some, wanted = [texts[n] for n in drawn], [references[n] for n in drawn]
        streams = streams_of(wanted)
        rows = metric._extract_corpus_statistics(some, streams)
        summed = [[float(sum(column)) for column in zip(*rows, strict=True)]]
        assert corpus_chrf(np.array(summed))[0] == pytest.approx(metric.corpus_score(some, streams).score)
