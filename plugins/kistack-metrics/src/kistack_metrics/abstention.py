"""Whether a text declines to answer, and how often that was the right thing to do.

A text abstains when it is empty (as SQuAD 2.0 counts it; Rajpurkar et al., "Know What You Don't Know", ACL 2018), when
it is one of the wordings that the item gives, or when it says in English that the writer or the sources do not know. A
text that says so and gives an accepted answer all the same (*I am not sure, but it is 8.1.29*) has answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kistack_metrics.containment import is_contained
from kistack_metrics.normalisation import normalise

_SOURCE = (
    r"(?:notes?|passages?|contexts?|documents?|documentation|texts?|sources?|articles?|corpus|data|excerpts?"
    r"|(?:the|this|that|such|any|enough|provided|given|available)\s+information|question)"
)
_NOT = r"(?:\s+not|n't)"
_CANNOT = r"(?:can(?:\s?not|'t)|could(?:\s+not|n't))"
_SAID = (
    r"(?:mention|state|specif|say\b|said|contain|includ|provid|give|answer|cover|list|indicat|discuss|tell|describ"
    r"|address|refer)\w*"
)

_WHOLE = re.compile(
    r"(?:it is |it's |this is |that is |the answer is |sorry,? )?"
    r"(?:unknown|n/?a|no answer|unanswerable|no idea|no information|"
    r"not (?:known|specified|stated|mentioned|provided|given|available|found|sure|certain|enough information"
    r"|answerable|applicable|disclosed|clear))"
    r"[\s.!]*"
)
_ANYWHERE = re.compile(
    rf"""
      \b(?:i|we)\s+(?:\w+\s+)?(?:do{_NOT}|{_CANNOT})\s+(?:\w+\s+)?
        (?:know|answer|find|tell|say|determine|help|see\s+(?:any|that))\b
    | \b(?:i|we)\s+(?:do{_NOT}\s+have|have\s+no|lack)\s+(?:\w+\s+){{0,3}}?
        (?:information|data|details|answer|idea|access|knowledge|context)\b
    | \b(?:i\s+am|i'm|we\s+are|we're)\s+(?:\w+\s+)?(?:not\s+(?:sure|certain|aware|able)|unable|uncertain)\b
    | \b{_CANNOT}\s+be\s+(?:answered|determined|found|known|inferred|established|derived)\b
    | \b{_SOURCE}\s+(?:\w+\s+){{0,6}}?(?:do|does|did){_NOT}\s+(?:\w+ly\s+)?{_SAID}
    | \b(?:is|are|was|were){_NOT}\s+(?:\w+ly\s+)?{_SAID}\s+(?:anywhere\s+)?
        (?:in|by)\s+(?:the|these|those|this|any|my|our)\s+(?:\w+\s+){{0,2}}?{_SOURCE}
    | \b(?:there\s+is|there's|i\s+(?:see|find|found))\s+no\s+(?:\w+\s+){{0,2}}?
        (?:information|mention|answer|data|record|evidence|indication)\b
    | \bno\s+(?:\w+\s+)?(?:information|mention|answer)\s+(?:\w+\s+){{0,4}}?
        (?:available|found|provided|given|in\s+the\s+{_SOURCE})\b
    | \b(?:insufficient|not\s+enough)\s+(?:information|context|data|details)\b
    | \bnone\s+of\s+(?:the|these|those)\s+(?:\w+\s+){{0,2}}?{_SOURCE}\b
    """,
    re.VERBOSE,
)


def abstains(text: str, answers: Sequence[str] = (), *, wordings: Iterable[str] = ()) -> bool:
    """Whether ``text`` declines to answer.

    ``answers`` are the accepted ones of an item that has an answer: a text that gives one has not abstained.
    ``wordings`` are further ways to say that one does not know, compared as SQuAD compares answers.
    """
    lowered = " ".join(text.casefold().replace("\u2019", "'").split())
    if not lowered:
        return True
    given = normalise(text)
    declines = (
        any(given == normalise(wording) for wording in wordings)
        or _WHOLE.fullmatch(lowered) is not None
        or _ANYWHERE.search(lowered) is not None
    )
    return declines and not (answers and is_contained(text, answers))


@dataclass(frozen=True, slots=True)
class Decisions:
    """Per item whether it has an answer and whether the system abstained; None where the item failed."""

    unanswerable: tuple[bool, ...]
    abstained: tuple[bool | None, ...]

    @property
    def right(self) -> list[float]:
        """1 where the decision to answer or not was right; a failed item decided wrongly, whatever was right."""
        return [float(a is u) for u, a in zip(self.unanswerable, self.abstained, strict=True)]

    @property
    def answered(self) -> list[float]:
        """Of the items that have an answer, 1 where one was given."""
        return [float(a is False) for u, a in zip(self.unanswerable, self.abstained, strict=True) if not u]

    @property
    def declined(self) -> list[float]:
        """Of the items that have no answer, 1 where none was given."""
        return [float(a is True) for u, a in zip(self.unanswerable, self.abstained, strict=True) if u]

    @property
    def justified(self) -> list[float]:
        """Of the items on which the system abstained, 1 where there was no answer to give."""
        return [float(u) for u, a in zip(self.unanswerable, self.abstained, strict=True) if a]
