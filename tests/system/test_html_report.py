"""The HTML report opens from disk in a browser: nothing on its console, no request beyond the file itself.

A browser is the system's Chromium, else the one that ``playwright install chromium`` brought.
"""

import shutil

import pytest

from kistack.bundle.archive import find_run
from kistack.domain.plan import Plan, Step
from kistack.reporting.evidence import gather
from kistack.reporting.verbs import report_run

pytestmark = pytest.mark.system

PLAN = Plan(steps=(Step(use="retrieve/toy"), Step(use="tune/toy"), Step(use="quantize/toy")))


@pytest.fixture
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="no browser to drive: pip install 'kistack[browser]'")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with api.sync_playwright() as started:
        try:
            found = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except api.Error as error:
            pytest.skip(f"no Chromium: apt-get install chromium, or playwright install chromium ({error.message[:80]})")
        yield found
        found.close()


@pytest.fixture
def file(toy_place, tmp_path):
    kept = find_run(toy_place.project, toy_place.run(toy_place.compose(PLAN)).run)
    path = tmp_path / "report.html"
    path.write_text(report_run(gather(kept, toy_place), "html", base=tmp_path))
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_from_disk_without_a_complaint_or_a_request(browser, file, scheme):
    page = browser.new_context(color_scheme=scheme, viewport={"width": 1200, "height": 900}).new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert said == []
    assert asked == [file.as_uri()]
    assert page.locator("svg.plot").count() >= 5
    assert file.stat().st_size < 3e6
    # Wide tables and plots scroll in their own boxes, never the page.
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200


def test_words_and_marks_stand_out_from_their_ground_in_both_schemes(browser, file):
    for scheme in ("light", "dark"):
        page = browser.new_context(color_scheme=scheme).new_page()
        page.goto(file.as_uri())
        ground = luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        for selector, name, least in (
            ("main", "color", 7),
            (".tick", "fill", 4.5),
            (".plot .mark:not(.hollow)", "fill", 3),
        ):
            shown = page.evaluate(
                "([s, n]) => [...document.querySelectorAll(s)].map(e => getComputedStyle(e)[n])", [selector, name]
            )
            assert shown
            for colour in set(shown):
                high, low = sorted((luminance(colour), ground), reverse=True)
                assert (high + 0.05) / (low + 0.05) >= least, (scheme, selector, colour)


def luminance(colour):
    """WCAG 2 relative luminance of ``rgb(r, g, b)``."""
    parts = [int(p) / 255 for p in colour.partition("(")[2].rstrip(")").split(",")[:3]]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
