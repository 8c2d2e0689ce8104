from importlib import metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kistack.bundle import installed
from kistack.bundle.installed import distributions, libraries, missing_extras

REQUIRES = {
    "kistack": ["pluggy>=1.5", "typer (>=0.15)", "pytest>=8; extra == 'dev'", 'playwright>=1 ; extra == "browser"'],
    "kistack-some": [
        "Kistack>=0.1",
        "kistack-shared",
        "typer>=0.20,<1",
        "gone>=2",
        "extra ; os_name == 'nt'",
    ],
    "kistack-shared": ["Some.Library[fast]>=3.1"],
    "other": ["nothing-known>=1; extra == 'x'"],
}
VERSIONS = {"kistack": "0.1", "kistack-some": "0.2", "kistack-shared": "0.2", "other": "1", "pluggy": "1.5.0+local",
            "typer": "0.19", "some-library": "3.1", "pytest": "9"}  # fmt: skip


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    def version(name):
        if name not in VERSIONS:
            raise metadata.PackageNotFoundError(name)
        return VERSIONS[name]

    monkeypatch.setattr(installed.metadata, "version", version)
    monkeypatch.setattr(installed.metadata, "requires", REQUIRES.get)


def test_the_family_is_followed_and_strangers_come_with_their_names_only():
    assert distributions(["kistack-some", "other", "absent", ""]) == [
        "kistack", "kistack-shared", "kistack-some", "other",
    ]  # fmt: skip


def test_libraries_are_missing_too_old_or_fine_by_the_highest_bound():
    found = {x.name: x for x in libraries(["kistack", "kistack-some", "kistack-shared"])}
    assert {n: x.state for n, x in found.items()} == {
        "gone": "missing", "pluggy": "ok", "some-library": "ok", "typer": "too old",
    }  # fmt: skip
    assert (found["typer"].least, found["typer"].needed_by) == ("0.20", ("kistack", "kistack-some"))


def test_extras_that_lack_something_say_what_they_would_add():
    found = missing_extras(["kistack", "other"], {"other": {"x": "speed"}})
    assert [(e.distribution, e.name, e.missing) for e in found] == [
        ("kistack", "browser", ("playwright",)),
        ("other", "x", ("nothing-known",)),
    ]
    assert "browser" in found[0].adds
    assert found[1].adds == "speed"


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_versions_compare_as_numbers(one, other):
    def padded(numbers):
        return numbers + [0] * (4 - len(numbers))

    text = [".".join(map(str, v)) + tail for v, tail in ((one, "+cpu"), (other, ".post1"))]
    less = installed._numbers(text[0]) < installed._numbers(text[1])
    assert less == (padded(one) < padded(other))
