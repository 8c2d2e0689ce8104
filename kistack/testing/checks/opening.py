"""Sessions: what a stage opens does what its traits say."""

from __future__ import annotations

import math
from typing import Any

from kistack.testing.findings import Fault, Skip, check
from kistack.testing.rehearsal import MOST_TOKENS, QUESTIONS
from kistack.testing.subject import Subject


def _found(subject: Subject, kind: str) -> list[tuple[str, dict[str, Any], tuple[str, ...]]]:
    """(format, what was tried, what it gives) of every format of a kind that it opens."""
    found = [
        (form, subject.opened[form], opens.gives)
        for opens in subject.traits.opens
        if opens.kind == kind
        for form in opens.format.split("|")
    ]
    if not found:
        raise Skip(f"it opens no {kind}")
    for form, tried, _ in found:
        if tried["error"]:
            raise Skip(f"see opens: {form}: {tried['error']}")
    return found


@check("opens", "opens every format that its traits name, and closes twice without harm")
def opens(subject: Subject) -> None:
    """Its own output is opened, or a specimen of the format, in a worker; every method of the session is called."""
    if not subject.traits.opens:
        raise Skip("it opens nothing")
    for form, tried in subject.opened.items():
        if tried["error"]:
            raise Fault(f"opening {form} fails: {tried['error']}", "see open() and close()")


@check("gives-what-it-says", "has a session that can do all that its traits say it gives, and no less")
def gives_what_it_says(subject: Subject) -> None:
    """``Opens.gives`` decides which metrics run: what is named must work, what is left out is never called."""
    for form, tried, gives in _found(subject, "model"):
        for able in gives:
            answer = tried.get(able)
            if isinstance(answer, dict) and "error" in answer:
                raise Fault(f"{form}: {able} raised {answer['error']}", f"mend it, or leave {able!r} out of gives")


@check("answers-each", "answers every prompt, in order, within the tokens it is given")
def answers_each(subject: Subject) -> None:
    """One completion per prompt with true counts; ``on_done`` is told; a batch says what each says alone."""
    for form, tried, gives in _found(subject, "model"):
        if "generate" not in gives or not isinstance(tried["generate"], list):
            continue
        made = tried["generate"]
        if len(made) != len(QUESTIONS):
            raise Fault(
                f"{form}: {len(made)} answers to {len(QUESTIONS)} prompts", "one Completion per prompt, in order"
            )
        for one in made:
            if not isinstance(one, dict):
                raise Fault(f"{form}: generate returns {one}", "return kistack.plugins.sessions.Completion")
            if not (0 <= one["new_tokens"] <= MOST_TOKENS and one["prompt_tokens"] > 0 and one["seconds"] >= 0):
                raise Fault(f"{form}: a completion says {one}", "max_new_tokens bounds new_tokens; count what was read")
        if not tried["done"] or tried["done"][-1] != len(QUESTIONS):
            raise Fault(f"{form}: on_done was told {tried['done']}", "call on_done with the number of prompts finished")
        alone = [a["text"] for a in tried["alone"]] if isinstance(tried["alone"], list) else []
        if alone != [a["text"] for a in made]:
            raise Fault(
                f"{form}: a batch answers otherwise than each prompt alone", "pad so that no prompt sees another"
            )


@check("streams-the-same", "streams what it generates")
def streams_the_same(subject: Subject) -> None:
    """The pieces of ``stream`` joined are the text of ``generate``."""
    for form, tried, gives in _found(subject, "model"):
        if "stream" in gives and isinstance(tried["stream"], list) and isinstance(tried["alone"], list):
            told, whole = "".join(tried["stream"]).strip(), tried["alone"][0]["text"].strip()
            if told != whole:
                raise Fault(f"{form}: it streams {told!r} and generates {whole!r}", "decode both in one way")


@check("likelihoods", "gives log-likelihoods that are finite, not positive, and counted")
def likelihoods(subject: Subject) -> None:
    """Perplexity is computed from them: a sum over at least one token for a continuation that has some."""
    for form, tried, gives in _found(subject, "model"):
        if "loglikelihood" not in gives or not isinstance(tried["loglikelihood"], list):
            continue
        for total, tokens in tried["loglikelihood"]:
            if not (math.isfinite(total) and total <= 0 and tokens >= 1):
                raise Fault(
                    f"{form}: a log-likelihood of {total} over {tokens} tokens", "sum natural logs of probabilities"
                )


@check("finds", "finds passages with text and document, best first, the same alone and together")
def finds(subject: Subject) -> None:
    """Three questions are searched together and alone: lists of ``Passage``, scores that do not rise."""
    for form, tried, _ in _found(subject, "index"):
        if tried["none"] != []:
            raise Fault(f"{form}: a search for nothing finds {tried['none']!r}", "one list per query")
        if len(tried["together"]) != len(QUESTIONS):
            raise Fault(
                f"{form}: {len(tried['together'])} lists for {len(QUESTIONS)} queries", "one list per query, in order"
            )
        for passages in tried["together"]:
            _check_passages(form, passages)
        if tried["alone"] != tried["together"]:
            raise Fault(f"{form}: a query finds other passages alone than in a batch", "break ties by id")


def _check_passages(form: str, passages: list[Any]) -> None:
    for passage in passages:
        if not isinstance(passage, dict):
            raise Fault(f"{form}: search returns {passage}", "return kistack.domain.prompt.Passage")
        if not passage["text"] or not passage["document"]:
            raise Fault(f"{form}: passage {passage['id']!r} has no text or no document", "fill text and document")
    scores = [p["score"] for p in passages]
    if not all(math.isfinite(s) for s in scores):
        raise Fault(f"{form}: a score is no number (NaN or infinite)", "score with finite numbers")
    if scores != sorted(scores, reverse=True):
        raise Fault(f"{form}: scores rise: {scores}", "best first; a larger score is better")


@check("finds-what-is-there", "finds the document that says what is asked", "retrieve")
def finds_what_is_there(subject: Subject) -> None:
    """Of forty bridges, the passages of one question in three at least must name the bridge that it asks about."""
    for form, tried, _ in _found(subject, "index"):
        found = [any(place in p["text"] for p in tried["together"][n]) for n, place in enumerate(("Aar 1", "Bex 2"))]
        if not any(found):
            raise Fault(f"{form}: neither question finds its document", "index the text of every document")
        if not all(tried["together"][n] for n in (0, 1)):
            raise Fault(f"{form}: a question finds nothing at all", "return the best there is")
