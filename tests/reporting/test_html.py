import re
from html.parser import HTMLParser

from kistack.reporting.blocks import Bullets, Code, Figure, Heading, Paragraph, Side, SideBySide, Table
from kistack.reporting.html import render
from kistack.reporting.markdown import render as as_markdown
from kistack.reporting.terminal import as_text

TABLE = Table(("name", "n"), (("a<b", "1"), ("c", "2")), frozenset({1}), "caption", {(0, 1): "#one"}, ("one", "two"))
PAGE = [
    Heading("Title & more", 1),
    Heading("First", anchor="first"),
    Paragraph("<script>alert(1)</script>"),
    Bullets(("x", "y"), {1: "#one"}),
    Heading("Second", anchor="second"),
    TABLE,
    Code("a < b", "sh"),
    Code('{"k": 1}', "json", "The record"),
    Heading("Third", anchor="third"),
    Figure("Plot", '<svg class="plot"></svg>', TABLE, "what it shows"),
    Figure("Open", '<svg class="plot"></svg>', TABLE, folded=False),
    SideBySide(
        "Which?", "red", (Side("plan", "red", True, ("It is red. (a.md)",)), Side("base", "", False), Side("z", "?"))
    ),
]


class Checker(HTMLParser):
    """Collects tags, ids and references; fails on tags that are not closed in order."""

    VOID = frozenset({"meta", "link", "br", "line", "rect"})

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.references = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.references += [found[n] for n in ("href", "src", "data", "action") if n in found]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_page_is_one_file_without_script_or_reference_to_elsewhere():
    text = render(PAGE)
    found = Checker(text)
    assert "script" not in found.tags
    assert "&lt;script&gt;" in text
    assert {r for r in found.references if not r.startswith("#")} == {"data:,"}
    assert not re.search(r"https?:|@import|url\(", text)
    assert "default-src 'none'" in text
    assert "<title>Title &amp; more</title>" in text


def test_every_link_leads_to_an_anchor_and_anchors_are_unique():
    found = Checker(render([*PAGE[:5], TABLE, *PAGE[8:9]]))
    assert {r[1:] for r in found.references if r.startswith("#")} == {"first", "second", "third", "one"}
    assert len(found.ids) == len(set(found.ids))
    assert {"first", "second", "third", "one", "two"} == set(found.ids)


def test_tables_name_their_rows_and_columns_and_stand_beside_plots():
    text = render(PAGE)
    assert '<th scope="col" class="number">n</th>' in text
    assert '<th scope="row">a&lt;b</th>' in text
    assert text.count("The numbers of this plot") == 1
    assert text.count("<figure>") == 2


def test_items_stand_side_by_side_with_verdict_and_sources():
    text = render(PAGE)
    assert '<div class="side right">' in text
    assert '<div class="side wrong">' in text
    assert '<div class="side not-scored">' in text
    assert "It is red. (a.md)" in text
    assert "no answer" in text


def test_text_and_markdown_show_the_same_without_the_drawing():
    for told in (as_text(PAGE, 120), as_markdown(PAGE)):
        assert "<svg" not in told
        assert "what it shows" in told
        assert "plan (right): red" in told
        assert "base (wrong): no answer" in told
        assert "It is red. (a.md)" in told


def test_a_short_page_has_no_contents():
    assert "<nav" not in render(PAGE[:4])
    assert "<nav" in render(PAGE)
