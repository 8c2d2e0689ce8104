"""Which pairs are held out: never the same gold document or group on both sides, and always the same choice."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kistack.domain.facts import Fact, measured
from kistack.domain.prompt import PromptTemplate
from kistack.domain.scenario import Scenario, Split
from kistack.errors import DataError, Problem
from kistack.profiling.corpus import Corpus, normalized
from kistack.profiling.duplicates import lookalikes
from kistack.profiling.pairs import InvalidPairs, Pair, identity, pair_facts, question_key, read_pairs

#: Answers of at most so many words are spans: open Natural Questions keeps those of five (Lee and others 2019).
SHORT_WORDS = 5
#: Few answers that come again and again are labels: Banking77 has 77 of them (Casanueva and others 2020).
MOST_LABELS, FEWEST_PER_LABEL = 100, 5

#: Characters of documents searched for answers, times pairs: about two seconds of work.
_SEARCH_BUDGET = 2_000_000_000


@dataclass(frozen=True)
class PairSplit:
    """Pairs to train on and pairs held out, and how they were told apart."""

    train: tuple[Pair, ...]
    test: tuple[Pair, ...]
    by: str = ""
    why: str = ""

    @property
    def leakage(self) -> float:
        """Share of held-out pairs that have a question, a gold document or a group in common with a training pair.

        Questions in nearly the same words (``reworded``) are questions in common.
        """
        questions = {question_key(p.question) for p in self.train}
        gold = {g for p in self.train for g in p.gold}
        groups = {p.group for p in self.train if p.group}
        leaked = sum(
            question_key(p.question) in questions or p.group in groups or not gold.isdisjoint(p.gold) for p in self.test
        )
        return leaked / len(self.test) if self.test else 0.0


def reworded(split: PairSplit) -> float:
    """Share of held-out questions that nearly repeat the words of a training question (shingles of two words).

    Where questions follow a template about different things they are alike and yet not the same: a number or a
    capitalized word that only one of them has tells them apart.
    """
    train = [p.question for p in split.train]
    names = [_names(q) for q in train]
    found = sum(
        any(names[n] == _names(p.question) for n in alike)
        for p, alike in zip(split.test, lookalikes(train, [p.question for p in split.test]), strict=True)
    )
    return found / len(split.test) if split.test else 0.0


def _names(question: str) -> frozenset[str]:
    """What a question is about: its numbers, and its capitalized words but for the first."""
    words = re.findall(r"\w+(?:\.\w+)*", question)
    return frozenset(w for n, w in enumerate(words) if any(c.isdigit() for c in w) or (n and w[0].isupper()))


def load_pairs(scenario: Scenario) -> PairSplit:
    """The scenario's pairs, split; an empty split where the scenario names none.

    Raises:
        DataError: a file cannot be read, or nothing is held out.
        InvalidPairs: every mistake of the files.

    """
    if not scenario.knowledge.pairs:
        return PairSplit((), (), why="the scenario names no pairs")
    return split_pairs(read_pairs(scenario.knowledge.pairs), scenario.knowledge.split)


def split_pairs(pairs: Sequence[Pair], split: Split) -> PairSplit:
    """Hold out ``split.test`` of the pairs.

    By ``document`` pairs that share a gold document or a group stay together, by ``entity`` those that share a group
    (those without one as by document); ``declared`` follows the pairs' own ``split``. ``auto`` is ``declared`` where
    pairs carry a split, else ``document``, else (when nearly all pairs hang together) ``entity`` or single questions.

    Raises:
        DataError: nothing is held out.
        InvalidPairs: the declared split is incomplete.

    """
    found: PairSplit | None
    if split.by == "declared" or (split.by == "auto" and any(p.split for p in pairs)):
        found = _declared(pairs)
    else:
        ways = (split.by,) if split.by != "auto" else ("document", "entity", "question")
        found = next((f for f in (_hashed(pairs, split.test, by) for by in ways) if f is not None), None)
    if found is None:
        if len(pairs) == 1:
            raise DataError("no pair can be held out: there is only one", "add pairs, at least two")
        shared = "groups" if split.by == "entity" else "documents or groups"
        raise DataError(
            f"no pair can be held out: the {shared} that they share tie all {len(pairs)} together",
            "add pairs about other documents, or declare a split in the pairs",
        )
    return found


def _declared(pairs: Sequence[Pair]) -> PairSplit:
    absent = [
        Problem(p.where, "no split, but split is declared by the pairs", 'add "split": "train" or "test"')
        for p in pairs
        if not p.split
    ]
    if absent:
        raise InvalidPairs("pairs", absent[:50])
    train, test = (tuple(p for p in pairs if p.split == side) for side in ("train", "test"))
    if not test:
        raise DataError("no pair is held out: every pair says split train", 'mark some pairs "split": "test"')
    return PairSplit(train, test, "declared", "the pairs say which are held out")


def _hashed(pairs: Sequence[Pair], share: float, by: str) -> PairSplit | None:
    """Whole clusters in the order of their hashes up to the wanted share; None where no cluster can be spared."""
    clusters = _clusters(pairs, by)
    if len(clusters) < 2:  # noqa: PLR2004 - one side would stay empty
        return None
    target = max(1, min(round(share * len(pairs)), len(pairs) - 1))
    ordered = sorted(clusters, key=lambda c: hashlib.sha256(min(p.id for p in c).encode()).digest())
    held: set[str] = set()
    for cluster in ordered:
        if len(held) + len(cluster) <= target:
            held.update(p.id for p in cluster)
    if not held:
        held.update(p.id for p in min(ordered, key=len))
    if by != "question" and len(held) < target / 2 and any(len(c) > len(pairs) / 2 for c in clusters):
        return None  # one cluster holds most pairs, so the rest is too little to judge by
    train, test = (tuple(p for p in pairs if (p.id in held) == side) for side in (False, True))
    what = {"document": "gold documents and groups", "entity": "groups", "question": "questions"}[by]
    return PairSplit(train, test, by, f"{len(clusters)} sets of pairs with no {what} in common, in the order of hashes")


def _clusters(pairs: Sequence[Pair], by: str) -> list[list[Pair]]:
    """Pairs joined by what they share (union-find)."""
    parent = list(range(len(pairs)))

    def root(n: int) -> int:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    first: dict[str, int] = {}
    for n, pair in enumerate(pairs):
        for tie in _ties(pair, by):
            parent[root(n)] = root(first.setdefault(tie, n))
    clusters: dict[int, list[Pair]] = {}
    for n, pair in enumerate(pairs):
        clusters.setdefault(root(n), []).append(pair)
    return list(clusters.values())


def _ties(pair: Pair, by: str) -> Iterable[str]:
    """What keeps this pair together with others."""
    yield f"question {question_key(pair.question)}"
    if pair.group and by in {"document", "entity"}:
        yield f"group {pair.group}"
    if by == "document" or (by == "entity" and not pair.group):
        yield from (f"gold {g}" for g in pair.gold)


# --- facts


def answers_in_corpus(pairs: Sequence[Pair], corpus: Corpus) -> tuple[float, int]:
    """Share of pairs of which an accepted answer stands in its gold documents (in any document where none is named).

    Returns the share and how many pairs it is of: an evenly spaced sample where corpus and pairs are large. Pairs that
    are declared unanswerable are not looked for.
    """
    pairs = [p for p in pairs if not p.unanswerable]
    texts = {d.id: d.text for d in corpus.documents}
    characters = sum(map(len, texts.values()))
    stride = max(1, (len(pairs) * characters) // _SEARCH_BUDGET + 1)
    sample = pairs[::stride]
    whole = ""
    found = 0
    for pair in sample:
        gold = [texts[g] for g in pair.gold if g in texts]
        if not gold and not whole:
            whole = _padded("\n".join(texts.values()))
        text = _padded("\n".join(gold)) if gold else whole
        found += any(_padded(answer) in text for answer in pair.answers if normalized(answer))
    return (found / len(sample) if sample else 0.0), len(sample)


def _padded(text: str) -> str:
    return f" {normalized(text)} "


def split_facts(split: PairSplit, template: PromptTemplate, corpus: Corpus | None = None) -> dict[str, Fact]:
    """The facts ``pairs.*`` and ``items.*`` of a profile."""
    train, test = pair_facts(split.train, template), pair_facts(split.test, template)
    pairs = split.train + split.test
    count = max(1, len(pairs))
    why = split.why
    guess = "estimated from words, digits and punctuation, without a tokenizer"
    facts = {
        "pairs.train": measured(len(split.train), why),
        "pairs.test": measured(len(split.test), why),
        "pairs.split": measured(split.by, why),
    }
    if not pairs:
        return facts
    mean = {
        n: (train[n] * len(split.train) + test[n] * len(split.test)) / count for n in ("prompt_tokens", "answer_tokens")
    }
    words = sum(len(p.answers[0].split()) for p in pairs) / count
    asked = sum(len(p.question.split()) for p in pairs) / count
    if unanswerable := sum(p.unanswerable for p in pairs):
        facts["pairs.unanswerable"] = measured(unanswerable, "pairs that say that the documents do not answer them")
    facts |= {
        "pairs.identity": measured(identity(split.train, template), "SHA-256 of the training pairs and the wording"),
        "pairs.train_bytes": measured(train["bytes"], "the training pairs as kistack keeps them", "B"),
        "pairs.test_bytes": measured(test["bytes"], "the held-out pairs as kistack keeps them", "B"),
        "pairs.prompt_tokens": measured(round(mean["prompt_tokens"], 1), f"mean of a bare prompt, {guess}"),
        "pairs.answer_tokens": measured(round(mean["answer_tokens"], 1), f"mean of the first answer, {guess}"),
        "pairs.answer_words": measured(round(words, 2), "mean of the first answer"),
        "pairs.question_words": measured(round(asked, 2), "mean"),
        "pairs.leakage": measured(
            round(split.leakage, 4),
            "share of held-out pairs with a question, gold document or group of a training pair",
        ),
        "pairs.near_leakage": measured(
            round(reworded(split), 4),
            "share of held-out questions that repeat one to train on in nearly the same words, of the same names",
        ),
        **_answer_facts(pairs),
        "items.identity": measured(identity(split.test, template), "SHA-256 of the held-out pairs and the wording"),
    }
    if corpus is not None:
        facts |= _corpus_facts(pairs, corpus)
    return facts


def _answer_facts(pairs: Sequence[Pair]) -> dict[str, Fact]:
    """What kind of answers these are: short spans, or one of few labels. To abstain is neither."""
    answers = [p.answers[0].strip() for p in [p for p in pairs if not p.unanswerable] or pairs]
    short = sum(len(a.split()) <= SHORT_WORDS and "\n" not in a for a in answers) / len(answers)
    distinct = len({a.casefold().rstrip(".") for a in answers})
    labels = distinct <= MOST_LABELS and distinct * FEWEST_PER_LABEL <= len(answers)
    return {
        "pairs.short_answers": measured(round(short, 4), f"share of first answers of at most {SHORT_WORDS} words"),
        "pairs.distinct_answers": measured(distinct, "first answers that differ in more than case and a full stop"),
        "pairs.labels": measured(
            labels, f"at most {MOST_LABELS} distinct answers, on average {FEWEST_PER_LABEL} pairs or more of each"
        ),
    }


def _corpus_facts(pairs: Sequence[Pair], corpus: Corpus) -> dict[str, Fact]:
    share, of = answers_in_corpus(pairs, corpus)
    known = {d.id for d in corpus.documents}
    strange = sorted({g for p in pairs for g in p.gold} - known)
    named = f"for instance {strange[0]!r}" if strange else "every gold id is a document"
    return {
        "pairs.answers_in_corpus": measured(
            round(share, 4), f"an accepted answer stands in the documents, of {of} pairs"
        ),
        "pairs.gold": measured(sum(bool(p.gold) for p in pairs), "pairs that name the documents holding their answer"),
        "pairs.gold_unknown": measured(len(strange), f"gold ids that are no document's: {named}"),
    }
