"""The corpus: every document of the scenario's folders and files, what was skipped, and its digest."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from kistack.domain.artifacts import CORPUS_FILE
from kistack.domain.facts import Fact, declared, measured
from kistack.domain.scenario import CorpusPart, Scenario
from kistack.errors import DataError
from kistack.profiling.documents import FORMATS, Document, Skipped, read_file
from kistack.profiling.duplicates import near_duplicates
from kistack.profiling.languages import languages_of
from kistack.profiling.tokens import estimate_total
from kistack.profiling.topics import topics_of

_LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice)(\.(txt|md|rst))?", re.IGNORECASE)
_LICENCES = (
    (r"\bMIT License\b|Permission is hereby granted, free of charge", "MIT"),
    (r"\bApache License\s+Version 2\.0", "Apache-2.0"),
    (r"Attribution-ShareAlike 4\.0|CC[ -]BY-SA[ -]4\.0", "CC-BY-SA-4.0"),
    (r"Attribution-ShareAlike 3\.0|CC[ -]BY-SA[ -]3\.0", "CC-BY-SA-3.0"),
    (r"Attribution 4\.0 International|CC[ -]BY[ -]4\.0", "CC-BY-4.0"),
    (r"CC0 1\.0 Universal|CC0[ -]1\.0", "CC0-1.0"),
    (r"GNU FREE DOCUMENTATION LICENSE", "GFDL"),
    (r"GNU GENERAL PUBLIC LICENSE\s+Version 3", "GPL-3.0"),
    (r"GNU GENERAL PUBLIC LICENSE\s+Version 2", "GPL-2.0"),
    (r"Redistribution and use in source and binary forms", "BSD"),
    (r"public domain", "public domain"),
)
_SHOWN = 5


@dataclass(frozen=True)
class Corpus:
    """All documents (ordered by part, then id), what was skipped, and what is known of each part.

    ``licences`` maps the name of a part to its licence and whether the scenario stated it; parts without a known
    licence are absent.
    """

    documents: tuple[Document, ...]
    skipped: tuple[Skipped, ...] = ()
    licences: tuple[tuple[str, str, bool], ...] = ()  # part, licence, stated by the scenario
    licence_texts: tuple[Path, ...] = ()

    @cached_property
    def lines(self) -> bytes:
        """The corpus as ``corpus.jsonl``."""
        rows = (json.dumps(d.to_json(), ensure_ascii=False, sort_keys=True) for d in self.documents)
        return "".join(row + "\n" for row in rows).encode()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of ``corpus.jsonl``."""
        return hashlib.sha256(self.lines).hexdigest()

    @cached_property
    def duplicates(self) -> int:
        """Documents whose text repeats an earlier one's but for case, spacing and punctuation."""
        return len(self.documents) - len({hash(normalized(d.text)) for d in self.documents})

    @cached_property
    def tokens(self) -> float:
        """Estimated tokens of all texts."""
        return round(estimate_total([d.text for d in self.documents]))


def normalized(text: str) -> str:
    """Lower-case words joined by single spaces."""
    return " ".join(re.findall(r"\w+", text.lower()))


def load_corpus(scenario: Scenario) -> Corpus:
    """Every document of ``knowledge.corpus``.

    Raises:
        DataError: no corpus is given, a path is missing, or not one document can be read.

    """
    parts = scenario.knowledge.corpus
    if not parts:
        raise DataError("the scenario names no corpus", "set knowledge.corpus to a folder of documents")
    return read_corpus(parts)


def read_corpus(parts: Sequence[CorpusPart]) -> Corpus:
    """Every document of these parts; an id that several parts use gets the part's name before it.

    Raises:
        DataError: a path is missing, or not one document can be read.

    """
    named = list(zip(part_names(parts), parts, strict=True))
    read = {name: list(_read_part(part.path)) for name, part in named}
    uses = Counter(i for found in read.values() for i in {d.id for d in found if isinstance(d, Document)})
    documents: dict[str, Document] = {}
    skipped: list[Skipped] = []
    for name, found in read.items():
        prefix = f"{name}/" if len(parts) > 1 else ""
        for item in found:
            if isinstance(item, Skipped):
                skipped.append(replace(item, path=prefix + item.path))
                continue
            document = replace(item, id=f"{name}/{item.id}" if uses[item.id] > 1 else item.id, part=name)
            if (first := documents.setdefault(document.id, document)) is not document:
                reason = f"the id {document.id!r} stands twice (first in {prefix + first.path})"
                skipped.append(Skipped(prefix + document.path, reason))
    if not documents:
        raise _nothing_read(parts, skipped)
    known = [(name, part, *_licence(part)) for name, part in named]
    return Corpus(
        documents=tuple(sorted(documents.values(), key=lambda d: (d.part, d.id))),
        skipped=tuple(skipped),
        licences=tuple((name, licence, bool(part.licence)) for name, part, licence, _ in known if licence),
        licence_texts=tuple(file for *_, file in known if file is not None),
    )


def part_names(parts: Sequence[CorpusPart]) -> list[str]:
    """The names under which the parts stand in documents, facts and selections: all different, and safe in a fact."""
    names: list[str] = []
    for part in parts:
        plain = safe_name(part.name)
        name, n = plain, 2
        while name in names:
            name, n = f"{plain}-{n}", n + 1
        names.append(name)
    return names


def safe_name(name: str) -> str:
    """A name without what means something in names of facts, lists of parts and selections: dots, commas, a ``!``.

    >>> safe_name("v1.2, manuals")
    'v1_2_ manuals'
    """
    return re.sub(r"[.,]", "_", name).strip().lstrip("!") or "corpus"


def _read_part(path: Path) -> Iterator[Document | Skipped]:
    if not path.exists():
        raise DataError(f"the corpus {path} does not exist", "correct knowledge.corpus, or create the folder")
    if path.is_file():
        yield from read_file(path, path.name)
        return
    unreadable: list[OSError] = []
    for file in files_of(path, unreadable):
        if not _LICENCE_FILE.fullmatch(file.name):
            yield from read_file(file, file.relative_to(path).as_posix())
    for error in unreadable:
        folder = Path(error.filename).relative_to(path).as_posix()
        yield Skipped(f"{folder}/", f"cannot be read: {error.strerror}")


def files_of(path: Path, unreadable: list[OSError] | None = None) -> list[Path]:
    """All files below ``path`` in a fixed order (or the file itself); hidden files and folders are left out.

    What the system says of folders that cannot be listed is added to ``unreadable``.
    """
    if path.is_file():
        return [path]
    found: list[Path] = []
    for folder, folders, names in os.walk(path, onerror=None if unreadable is None else unreadable.append):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        found.extend(Path(folder, name) for name in sorted(names) if not name.startswith("."))
    return found


def _nothing_read(parts: Sequence[CorpusPart], skipped: Sequence[Skipped]) -> DataError:
    where = ", ".join(str(p.path) for p in parts)
    if not skipped:
        return DataError(f"the corpus {where} is empty", f"put documents there ({', '.join(FORMATS)})")
    shown = "; ".join(f"{s.path}: {s.reason}" for s in skipped[:_SHOWN])
    more = f"; and {len(skipped) - _SHOWN} more" if len(skipped) > _SHOWN else ""
    return DataError(
        f"not one document of {where} can be read ({shown}{more})",
        f"convert them to one of {', '.join(FORMATS)}, in UTF-8",
    )


def _licence(part: CorpusPart) -> tuple[str, Path | None]:
    """The licence of a part (stated, else recognized in a licence file beside its documents) and that file."""
    folder = part.path if part.path.is_dir() else part.path.parent
    files = sorted(f for f in folder.iterdir() if f.is_file() and _LICENCE_FILE.fullmatch(f.name))
    file = next((f for f in files if not f.name.lower().startswith("notice")), None)
    if part.licence or file is None:
        return part.licence, file
    text = file.read_text(encoding="utf-8", errors="replace")[:20_000]
    name = next((name for pattern, name in _LICENCES if re.search(pattern, text)), "")
    return name or next((line.strip() for line in text.splitlines() if line.strip()), "")[:80], file


def write_corpus(corpus: Corpus, folder: Path) -> dict[str, float]:
    """Write the corpus artifact (``corpus.jsonl``) into an existing folder; returns its facts."""
    (folder / CORPUS_FILE).write_bytes(corpus.lines)
    return {"count": len(corpus.documents), "tokens": corpus.tokens, "bytes": len(corpus.lines)}


def corpus_facts(corpus: Corpus) -> dict[str, Fact]:
    """The facts ``corpus.*`` of a profile."""
    count, skipped = len(corpus.documents), len(corpus.skipped)
    named = "; ".join(f"{s.path}: {s.reason}" for s in corpus.skipped[:_SHOWN])
    more = f"; and {skipped - _SHOWN} more" if skipped > _SHOWN else ""
    facts = {
        "documents": measured(count, "documents read"),
        "bytes": measured(len(corpus.lines), "the documents as kistack keeps them", "B"),
        "tokens": measured(corpus.tokens, "estimated from words, digits and punctuation, without a tokenizer"),
        "skipped": measured(skipped, named + more if skipped else "every file was read"),
        "duplicates": measured(corpus.duplicates, "texts equal to an earlier one but for case and punctuation"),
        "identity": measured(corpus.digest, "SHA-256 of the documents"),
        "dated": measured(sum(d.date is not None for d in corpus.documents), "documents with a date of their own"),
    }
    facts |= _content_facts(corpus)
    if corpus.licences:
        value = ", ".join(dict.fromkeys(licence for _, licence, _ in corpus.licences))
        stated = all(by_scenario for _, _, by_scenario in corpus.licences)
        facts["licence"] = (
            declared(value, "stated in the scenario") if stated else measured(value, "read from a licence file")
        )
    return {f"corpus.{name}": fact for name, fact in facts.items()}


def _content_facts(corpus: Corpus) -> dict[str, Fact]:
    """What the documents are: formats, languages, near duplicates, topics where there are any."""
    texts = [d.text for d in corpus.documents]
    formats = Counter(Path(d.path).suffix.lower().lstrip(".") or "none" for d in corpus.documents)
    languages = languages_of(texts)
    facts = {
        "formats": measured(
            ", ".join(f"{n} {count}" for n, count in sorted(formats.items(), key=lambda f: (-f[1], f[0]))),
            "documents by the ending of their file",
        ),
        "languages": measured(
            ", ".join(f"{code} {share:.0%}" for code, share in languages.items()),
            "share of documents by script and small words; unknown where unsure",
        ),
        "near_duplicates": measured(
            near_duplicates(texts), "texts that share 70 % of their runs of four words with an earlier one (MinHash)"
        ),
    }
    if topics := topics_of(texts):
        told = "; ".join(f"{', '.join(terms)} ({share:.0%})" for share, terms in topics)
        facts["topics"] = measured(told, "strongest words of TF-IDF factors (NMF), with the share of documents of each")
    return facts
