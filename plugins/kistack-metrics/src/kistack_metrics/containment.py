"""Whether a generated text gives the answer: the metric ``contained``.

A text contains an answer when the answer's tokens stand in it one after the other, as whole tokens, and nothing in it
competes with them. Tokens are found from left to right, each as long as it can be:

- a **date**: ``2027-10-31`` (a time may follow), ``31 October 2027``, ``Oct 31st, 2027``, ``31.10.2027``,
  ``10/31/2027``, and months such as ``2027-10`` or ``October 2027``. Written differently, the same day is the same
  token. A numeric date that reads two ways (``04/05/2027``) equals only itself;
- a **version**: numbers joined by dots with whatever is glued to them (``3.11.4``, ``v1.2.3-rc1``, ``9.8p1``,
  ``5.x``), or digits, letters, digits (``22H2``, ``8u392``). A leading ``v`` does not count, and letters glued before
  it are a token of their own (``python3.11``). ``10.2`` and ``10.2.1`` are different tokens;
- a **number**: digits (``1,200`` is ``1200``), with or without a leading ``v``;
- a **word**: letters and digits, lower case, with ``++`` or ``#`` where they follow. Articles between them do not
  matter.

What competes depends on the answer. If it holds a date, any other date; else if it holds a version, any other version;
else if it is a single number, any other number or version. Tokens of any accepted answer never compete, nor do tokens
of the question, which a sentence naturally repeats (*the latest release of PHP 8.1 is 8.1.29*), nor a month that the
accepted day lies in. ``strict`` drops the last two exceptions and lets every date and version compete with each other.
An answer of words alone has no competitors.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["date", "version", "number", "word"]

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan",
            "february feb",
            "march mar",
            "april apr",
            "may",
            "june jun",
            "july jul",
            "august aug",
            "september sept sep",
            "october oct",
            "november nov",
            "december dec",
        ),
        start=1,
    )
    for name in names.split()
}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_ARTICLES = frozenset({"a", "an", "the"})

_END = r"(?![^\W_])"
#: What may follow the dotted numbers of a version: ``-rc1``, ``.Final``, ``-h5``, ``-eks-13``, ``+7``.
_SUFFIX = (
    r"(?:[-+~_.](?:"
    rf"(?:alpha|beta|snapshot|milestone|preview|release|hotfix|update|patch|build|final|post|pre|dev|rev|rc|ga|sp){_END}"
    r"|[a-z]{1,9}[-.]?\d[^\W_]*|\d[^\W_]*))"
)
_YEAR = r"(?:1[6-9]|2[01])\d{2}"

_TOKEN = re.compile(
    rf"""
      (?P<iso>(?<![^\W_])(?P<iso_y>{_YEAR})-(?P<iso_m>\d{{1,2}})-(?P<iso_d>\d{{1,2}})
        (?:[t\ ]\d{{1,2}}:\d{{2}}(?::\d{{2}}(?:\.\d+)?)?(?:z|[+-]\d{{2}}:?\d{{2}})?)?{_END}(?![-/.]\d))
    | (?P<ym>(?<![^\W_])(?P<ym_y>{_YEAR})-(?P<ym_m>0[1-9]|1[0-2]){_END}(?![-/.]\d))
    | (?P<slash>(?<![^\W_])(?P<first>\d{{1,2}})(?P<mark>[/.])(?P<second>0?[1-9]|[12]\d|3[01])(?P=mark)
        (?P<slash_y>{_YEAR}){_END}(?![-/.]\d))
    | (?P<dmy>(?<![^\W_])(?P<dmy_d>\d{{1,2}})(?:st|nd|rd|th)?(?:[-\s/]+|\s+of\s+)(?P<dmy_m>{_MONTH})\b\.?,?[-\s/]+
        (?P<dmy_y>{_YEAR}){_END})
    | (?P<mdy>\b(?P<mdy_m>{_MONTH})\b\.?\s+(?P<mdy_d>\d{{1,2}})(?:st|nd|rd|th)?\b,?\s+(?P<mdy_y>{_YEAR}){_END})
    | (?P<my>\b(?P<my_m>{_MONTH})\b\.?,?\s+(?:of\s+)?(?P<my_y>{_YEAR}){_END})
    | (?P<glue>(?:[^\W_]*[^\W\d_])?)
      (?P<version>\d+(?:(?:\.\d+)+[^\W_]*{_SUFFIX}*(?:\.[x*])?|\.[x*]){_END})
    | (?P<coded>\d+[a-z]+\d[^\W_]*(?:[-+~_.]\d[^\W_]*)*)
    | (?P<thousands>(?<![^\W_])\d{{1,3}}(?:,\d{{3}})+{_END}(?!,\d))
    | (?P<word>[^\W_]+(?:\+\+|\#)?)
    """,
    re.VERBOSE,
)
_NUMBER = re.compile(r"v?(\d+)")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text in its normal form: for dates ``2027-10-31`` or ``2027-10``, else lower case."""

    kind: Kind
    value: str


def read_tokens(text: str) -> list[Token]:
    """The tokens of ``text``, in its order."""
    lowered = unicodedata.normalize("NFKC", text).casefold()
    found: list[Token] = []
    for match in _TOKEN.finditer(lowered):
        found += _tokens_of(match)
    return found


def is_contained(text: str, answers: Iterable[str], question: str = "", *, strict: bool = False) -> bool:
    """Whether ``text`` gives any of the accepted ``answers`` and nothing that competes with it (see the module)."""
    accepted = [tokens for tokens in map(read_tokens, answers) if tokens]
    given = read_tokens(text)
    own = {token for tokens in accepted for token in tokens}
    asked = set() if strict else set(read_tokens(question))
    return any(
        _stands_in(tokens, given) and not _competitors(given, tokens, own, asked, strict=strict) for tokens in accepted
    )


def _tokens_of(match: re.Match[str]) -> list[Token]:
    """The one or two tokens that a match stands for."""
    groups = match.groupdict()
    for form in ("iso", "ym", "dmy", "mdy", "my"):
        if groups[form]:
            day = groups.get(f"{form}_d")
            month = groups[f"{form}_m"]
            return [_date(match[0], groups[f"{form}_y"], _MONTHS.get(month) or int(month), day)]
    if groups["slash"]:
        return [_numeric_date(match[0], int(groups["first"]), int(groups["second"]), groups["slash_y"])]
    if groups["version"]:
        glue = groups["glue"]
        before = [] if glue in {"", "v"} else [Token("word", glue)]
        return [*before, Token("version", groups["version"])]
    if groups["coded"]:
        return [Token("version", groups["coded"])]
    if groups["thousands"]:
        return [Token("number", groups["thousands"].replace(",", ""))]
    number = _NUMBER.fullmatch(match[0])
    return [Token("number", number[1]) if number else Token("word", match[0])]


def _date(text: str, year: str, month: int, day: str | None) -> Token:
    """A day or month in ISO form; a day that no calendar has stays as it is written."""
    try:
        date = dt.date(int(year), month, int(day) if day else 1)
    except ValueError:
        return Token("date", text)
    return Token("date", date.isoformat() if day else f"{date:%Y-%m}")


def _numeric_date(text: str, first: int, second: int, year: str) -> Token:
    """Day and month, in whichever order only one reading allows; dots mean that the day stands first."""
    twelve = 12
    if "." in text:
        # 4.2.2024 is a day, 10.16.2024 only a version.
        return _date(text, year, second, str(first)) if second <= twelve else Token("version", text)
    if first > twelve or first == second:
        return _date(text, year, second, str(first))
    return _date(text, year, first, str(second)) if second > twelve else Token("date", text)


def _stands_in(tokens: Sequence[Token], given: Sequence[Token]) -> bool:
    """Whether ``tokens`` come one after the other in ``given``, articles apart."""
    wanted = [token for token in tokens if token.value not in _ARTICLES]
    if wanted:
        given = [token for token in given if token.value not in _ARTICLES]
    else:
        wanted = list(tokens)  # the answer is an article, such as the choice A
    size = len(wanted)
    return any(list(given[start : start + size]) == wanted for start in range(len(given) - size + 1))


def _competitors(
    given: Sequence[Token], answer: Sequence[Token], own: set[Token], asked: set[Token], *, strict: bool
) -> list[Token]:
    """The tokens of ``given`` that contradict ``answer``."""
    kinds = _competing_kinds(answer, strict=strict)
    days = [] if strict else [token.value for token in own if token.kind == "date"]
    return [
        token
        for token in given
        if token.kind in kinds
        and token not in own
        and token not in asked
        and not (token.kind == "date" and any(day.startswith(f"{token.value}-") for day in days))
    ]


def _competing_kinds(answer: Sequence[Token], *, strict: bool) -> frozenset[Kind]:
    """Of which kinds a token can contradict this answer."""
    kinds = {token.kind for token in answer}
    if len(answer) == 1 and answer[0].kind == "number":
        return frozenset({"date", "version", "number"}) if strict else frozenset({"version", "number"})
    if not kinds & {"date", "version"}:
        return frozenset()
    if strict:
        return frozenset({"date", "version"})
    return frozenset({"date"}) if "date" in kinds else frozenset({"version"})
