"""The corpus: all documents in a fixed order, everything skipped counted and named, one digest."""

import json

import pytest

from kistack.domain.scenario import CorpusPart, Scenario
from kistack.errors import DataError
from kistack.profiling.corpus import corpus_facts, files_of, load_corpus, part_names, read_corpus, write_corpus


def scenario(*parts):
    return Scenario.model_validate({"name": "x", "models": {"base": "hub:a/b"}, "knowledge": {"corpus": list(parts)}})


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "b.md").write_text("# B\nSecond text.")
    (folder / "a.txt").write_text("First text.")
    (folder / "sub" / "c.txt").write_text("first   TEXT")
    (folder / "image.png").write_bytes(b"\x89PNG\0")
    (folder / ".hidden.txt").write_text("never read")
    (folder / "LICENSE").write_text("MIT License\n\nPermission is hereby granted, free of charge, to anyone")
    return folder


def test_documents_are_read_in_order_and_the_rest_is_named(docs):
    corpus = load_corpus(scenario({"path": docs}))
    assert [d.id for d in corpus.documents] == ["a.txt", "b.md", "sub/c.txt"]
    assert [(s.path, s.reason) for s in corpus.skipped] == [("image.png", "files ending in '.png' are not read")]
    assert corpus.duplicates == 1
    facts = corpus_facts(corpus)
    assert facts["corpus.documents"].value == 3
    assert facts["corpus.skipped"].value == 1
    assert "image.png" in facts["corpus.skipped"].why
    assert facts["corpus.licence"].value == "MIT"
    assert facts["corpus.licence"].source == "measured"
    assert facts["corpus.tokens"].value > 8
    assert corpus.licence_texts == (docs / "LICENSE",)


def test_the_artifact_holds_one_object_a_line_and_its_digest_follows_the_content(docs, tmp_path):
    corpus = read_corpus([CorpusPart(path=docs)])
    out = tmp_path / "out"
    out.mkdir()
    facts = write_corpus(corpus, out)
    rows = [json.loads(line) for line in (out / "corpus.jsonl").read_text().splitlines()]
    assert [set(r) for r in rows] == [{"id", "title", "text", "date", "part", "path"}] * 3
    assert facts == {"count": 3, "tokens": corpus.tokens, "bytes": (out / "corpus.jsonl").stat().st_size}
    assert read_corpus([CorpusPart(path=docs)]).digest == corpus.digest
    (docs / "a.txt").write_text("Other text.")
    assert read_corpus([CorpusPart(path=docs)]).digest != corpus.digest


def test_several_parts_keep_their_names_and_ids_stay_distinct(docs, tmp_path):
    other = tmp_path / "more" / "docs"
    other.mkdir(parents=True)
    (other / "a.txt").write_text("Another first text.")
    (other / "z.txt").write_text("Last.")
    single = tmp_path / "faq.jsonl"
    single.write_text('{"text": "one answer"}\n')
    corpus = load_corpus(scenario({"path": docs, "licence": "CC-BY-4.0"}, {"path": other}, str(single)))
    ids = {d.id: d.part for d in corpus.documents}
    assert ids == {
        "docs/a.txt": "docs",
        "b.md": "docs",
        "sub/c.txt": "docs",
        "docs-2/a.txt": "docs-2",
        "z.txt": "docs-2",
        "faq.jsonl#1": "faq",
    }
    assert corpus.licences == (("docs", "CC-BY-4.0", True),)
    assert corpus_facts(corpus)["corpus.licence"].source == "declared"


def test_an_id_that_stands_twice_is_skipped_by_name(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "x", "text": "one"}\n{"id": "x", "text": "two"}\n')
    corpus = read_corpus([CorpusPart(path=tmp_path)])
    assert [d.text for d in corpus.documents] == ["one"]
    assert "'x' stands twice" in corpus.skipped[0].reason


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("Apache License\n   Version 2.0, January 2004", "Apache-2.0"),
        ("Attribution-ShareAlike 4.0 International", "CC-BY-SA-4.0"),
        ("\nOur own terms\nmore", "Our own terms"),
        ("", None),
    ],
)
def test_licences_are_recognized_beside_the_documents(tmp_path, text, licence):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "COPYING.txt").write_text(text)
    facts = corpus_facts(read_corpus([CorpusPart(path=tmp_path)]))
    assert (facts["corpus.licence"].value if licence else None) == licence
    assert ("corpus.licence" in facts) == (licence is not None)


def test_missing_empty_and_unreadable_corpora_have_a_remedy(tmp_path):
    with pytest.raises(DataError, match="names no corpus") as caught:
        load_corpus(scenario())
    assert "knowledge.corpus" in caught.value.hint
    with pytest.raises(DataError, match="does not exist"):
        load_corpus(scenario(str(tmp_path / "nope")))
    with pytest.raises(DataError, match="is empty") as caught:
        load_corpus(scenario(str(tmp_path)))
    assert ".md" in caught.value.hint
    for n in range(7):
        (tmp_path / f"{n}.pdf").write_bytes(b"%PDF")
    with pytest.raises(DataError, match=r"not one document .*0\.pdf.*and 2 more") as caught:
        load_corpus(scenario(str(tmp_path)))
    assert caught.value.exit_code == 2


def test_folders_that_cannot_be_listed_are_named(docs, monkeypatch):
    import os

    listed = os.scandir

    def scandir(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    corpus = read_corpus([CorpusPart(path=docs)])
    assert ("sub/", "cannot be read: Permission denied") in [(s.path, s.reason) for s in corpus.skipped]


def test_files_of_a_file_is_itself(docs):
    assert files_of(docs / "a.txt") == [docs / "a.txt"]


def test_formats_and_near_duplicates_are_facts(tmp_path):
    words = [f"word{n}" for n in range(60)]
    (tmp_path / "a.txt").write_text(" ".join(words))
    (tmp_path / "b.txt").write_text(" ".join([*words[:-1], "other"]))
    (tmp_path / "c.MD").write_text("Something else that is written of other things.")
    (tmp_path / "d.jsonl").write_text("".join(f'{{"text": "record number {n}"}}\n' for n in range(3)))
    facts = corpus_facts(read_corpus([CorpusPart(path=tmp_path)]))
    assert facts["corpus.formats"].value == "jsonl 3, txt 2, md 1"
    assert facts["corpus.near_duplicates"].value == 1
    assert facts["corpus.duplicates"].value == 0
    assert facts["corpus.languages"].value.startswith("unknown")
    assert "corpus.topics" not in facts, "too few documents"


def test_names_of_parts_are_safe_in_facts_and_lists(tmp_path):
    parts = [CorpusPart(path=tmp_path, part=name) for name in ("v1.2", "v1,2", "!all", "...")]
    assert part_names(parts) == ["v1_2", "v1_2-2", "all", "___"]
