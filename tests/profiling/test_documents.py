"""Every format is read; what cannot be read is named with its reason and never raises."""

import datetime as dt
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kistack.profiling.documents import FORMATS, Document, Skipped, date_in_name, read_file


def read(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_file(path, name))


def one(folder, name, content):
    (found,) = read(folder, name, content)
    return found


def test_plain_text_takes_title_and_date_from_its_name(tmp_path):
    found = one(tmp_path, "notes 2024-07-01.txt", "\ufeffFirst\r\nsecond\r\n")
    assert found == Document(
        "notes 2024-07-01.txt",
        "notes 2024-07-01",
        "First\nsecond",
        dt.date(2024, 7, 1),
        path="notes 2024-07-01.txt",
    )


@pytest.mark.parametrize(
    ("name", "content", "title", "date"),
    [
        ("a.md", "---\ntitle: Alpha\ndate: 2024-07-01\n---\nBody.", "Alpha", dt.date(2024, 7, 1)),
        ("a.md", "---\ntitle: 7\nupdated: 1 July 2024\n...\nBody.", "7", dt.date(2024, 7, 1)),
        ("a.md", "intro\n\n## Heading ##\nBody.", "Heading", None),
        ("a.rst", "Guide\n=====\n\nBody.", "Guide", None),
        ("a.md", "---\n[not: a: mapping\n---\nBody.", "a", None),
        ("a.md", "---\n- a list\n---\nBody.", "a", None),
        ("a.txt", "# not a heading here\nBody.", "a", None),
        ("2023/07/a.md", "Body.", "a", None),
        ("log_20230704.md", "---\ndate: soon\n---\nBody.", "log_20230704", dt.date(2023, 7, 4)),
    ],
)
def test_titles_and_dates_of_markup(tmp_path, name, content, title, date):
    found = one(tmp_path, name, content)
    assert (found.title, found.date) == (title, date)
    assert found.text.endswith("Body.")


def test_html_keeps_what_a_reader_sees(tmp_path):
    page = """<!doctype html><html><head><title>The &amp; page</title><style>p {}</style>
    <meta property="article:published_time" content="2024-07-01T10:00:00Z"></head>
    <body><script>hide()</script><h1>Head</h1><p>One <b>two</b>
    three.<br>four</p><pre>five
six</pre><ul><li>seven<li>eight</ul><svg><title>no</title></svg></body></html>"""
    found = one(tmp_path, "p.html", page)
    assert found.title == "The & page"
    assert found.date == dt.date(2024, 7, 1)
    assert found.text == "Head\nOne two three.\nfour\nfive\nsix\nseven\neight"
    assert one(tmp_path, "q.htm", "<p>no head").text == "no head"
    assert isinstance(one(tmp_path, "r.html", "<script>only()</script>"), Skipped)


def test_json_lines_are_one_document_each_and_bad_lines_are_named(tmp_path):
    lines = [
        {"id": "x", "title": "X", "text": "first", "date": "2024-07-01"},
        {"text": "second\u2028still second"},
        {"title": "no text"},
        {"text": "   "},
        {"id": 0, "text": "zero"},
    ]
    content = "\n".join(json.dumps(row, ensure_ascii=False) for row in lines) + "\n{broken\n\n"
    found = read(tmp_path, "d.jsonl", content)
    assert [d.id for d in found if isinstance(d, Document)] == ["x", "d.jsonl#2", "0"]
    assert found[0].date == dt.date(2024, 7, 1)
    assert found[1].text == "second\u2028still second"
    skipped = [(s.path, s.reason) for s in found if isinstance(s, Skipped)]
    assert skipped[0] == ("d.jsonl:3", 'no "text"')
    assert skipped[1] == ("d.jsonl:4", "empty text")
    assert skipped[2][0] == "d.jsonl:6"
    assert "not JSON" in skipped[2][1]


def test_json_files_hold_one_document_or_a_list(tmp_path):
    assert one(tmp_path, "a.json", '{"text": "one"}').id == "a.json"
    assert [d.id for d in read(tmp_path, "b.json", '[{"text": "one"}, {"text": "two", "id": "t"}]')] == [
        "b.json#1",
        "t",
    ]
    assert one(tmp_path, "c.json", '{"a": 1}').reason == 'no "text"'
    assert "not JSON" in one(tmp_path, "d.json", "{").reason


def test_csv_rows_are_documents(tmp_path):
    found = read(tmp_path, "a.csv", "id,title,text,date\nx,X,some text,2024-07-01\ny,Y,,\n")
    assert found[0] == Document("x", "X", "some text", dt.date(2024, 7, 1), path="a.csv")
    assert found[1] == Skipped("a.csv:3", "empty text")
    assert one(tmp_path, "b.csv", "product,price\npen,3\n").text == "product: pen; price: 3"
    assert one(tmp_path, "c.csv", f"text\n{'long ' * 40_000}\n").text.startswith("long long")
    assert "not CSV" in one(tmp_path, "d.csv", 'text\n"unclosed\n').reason


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.pdf", b"%PDF", "'.pdf'"),
        ("Makefile", b"all:", "no known file ending"),
        ("a.txt", b"a\0b", "binary"),
        ("a.txt", b"caf\xe9", "UTF-8"),
        ("a.txt", b" \n ", "empty"),
        ("a.md", b"---\ntitle: only a head\n---\n", "no text"),
    ],
)
def test_what_is_not_read_is_named(tmp_path, name, content, reason):
    found = one(tmp_path, name, content)
    assert found.path == name
    assert reason in found.reason


def test_a_file_that_went_away_is_named(tmp_path):
    (found,) = read_file(tmp_path / "gone.txt", "gone.txt")
    assert "cannot be read" in found.reason


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("a/2024-07-01/b.md", dt.date(2024, 7, 1)),
        ("2022-01-01/report_2024.07.02.txt", dt.date(2024, 7, 2)),
        ("2024-02-31.md", None),
        ("120240701.md", None),
        ("v1.2.md", None),
    ],
)
def test_dates_in_names(name, date):
    assert date_in_name(name) == date


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    content=st.one_of(st.binary(max_size=80), st.text(max_size=80).map(str.encode)),
    ending=st.sampled_from(sorted(FORMATS)),
)
def test_no_content_raises(tmp_path, content, ending):
    for found in read(tmp_path, f"f{ending}", content):
        assert isinstance(found, Skipped) or found.text.strip()
