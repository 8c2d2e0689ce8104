import random

import numpy as np
import pytest
from kistack_metrics.overlap import bleu, corpus_bleu, is_measurable, rouge
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

WORDS = "the cat sat on a mat while 3.11.4 was released 2024-10-31, it's said: Zürich (x) ok . ! ?".split()  # noqa: SIM905 - easier to read


def sentences(count, low, high, seed):
    source = random.Random(seed)
    return [" ".join(source.choices(WORDS, k=source.randint(low, high))) for _ in range(count)]


def mutated(texts, seed):
    source = random.Random(seed)
    made = []
    for text in texts:
        words = text.split()
        for _ in range(source.randint(0, 3)):
            words[source.randrange(len(words))] = source.choice(WORDS)
        made.append(" ".join(words[: source.randint(1, len(words))]))
    return made


@pytest.fixture(scope="module")
def pairs():
    references = sentences(500, 1, 25, 1)
    return mutated(references, 2), [(r, *sentences(n % 3, 1, 20, n)) for n, r in enumerate(references)]


@pytest.mark.parametrize(("metric", "name"), [("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")])
def test_rouge_is_that_of_the_reference_package(pairs, metric, name):
    texts, references = pairs
    scorer = RougeScorer([name])
    for text, accepted, found in zip(texts, references, rouge(texts, references)[metric], strict=True):
        assert found == scorer.score_multi(list(accepted), text)[name].fmeasure


def test_rouge_of_known_texts():
    found = rouge(["the cat sat", "dog", ""], [["the cat sat down"], ["cat"], ["cat"]])
    assert found["rouge_l"] == found["rouge_1"] == [pytest.approx(2 * 0.75 / 1.75), 0.0, 0.0]
    assert found["rouge_2"] == [pytest.approx(2 * 2 / 3 / (1 + 2 / 3)), 0.0, 0.0]


def test_corpus_bleu_is_that_of_sacrebleu(pairs):
    texts, references = pairs
    streams = [[r[n] if n < len(r) else None for r in references] for n in range(3)]
    assert bleu(texts, references).value == pytest.approx(BLEU().corpus_score(texts, streams).score)


def test_sentence_bleu_is_that_of_sacrebleu(pairs):
    texts, references = pairs
    metric = BLEU(effective_order=True)
    expected = [metric.sentence_score(t, list(r)).score for t, r in zip(texts, references, strict=True)]
    assert bleu(texts, references).sentences == pytest.approx(expected)


def test_every_resampled_score_is_what_sacrebleu_computes_from_the_same_counts():
    generator = np.random.default_rng(5)
    for _ in range(500):
        totals = np.sort(generator.integers(0, 12, 4))[::-1]
        matches = [int(generator.integers(0, t + 1)) for t in totals]
        length, wanted = int(totals[0]), int(generator.integers(1, 15))
        expected = BLEU.compute_bleu(list(matches), totals.tolist(), length, wanted, smooth_method="exp").score
        row = np.array([[length, wanted, *matches, *totals]], dtype=float)
        assert corpus_bleu(row)[0] == pytest.approx(expected, abs=1e-9)


def test_the_interval_of_corpus_bleu_holds_it_and_is_repeatable(pairs):
    texts, references = (side[:80] for side in pairs)
    one, two = bleu(texts, references), bleu(texts, references)
    assert one == two
    assert one.low < one.value < one.high
    assert one.high - one.low < 30


def test_answers_shorter_than_four_tokens_have_no_bleu():
    assert not is_measurable([["3.11.4"], ["Paris", "the city"]])
    assert is_measurable([["3.11.4"], ["the city of Paris"]])
    assert is_measurable([["2024-10-31"]])  # tokens 13a cuts dates at their dashes
