"""Models are described by the one source that claims them; every wrong reference is named at once."""

import datetime as dt

import pytest

from kistack.domain.artifacts import Type
from kistack.domain.scenario import Scenario
from kistack.errors import ModelError, PluginError
from kistack.plugins.stages import Settings, Stage
from kistack.profiling.cache import Cache
from kistack.profiling.models import claim, model_facts

TODAY = dt.date(2024, 7, 1)


class FakeSettings(Settings):
    reference: str


class Fake(Stage):
    """Claims what begins with its scheme."""

    name = "source/fake"
    scheme = "fake:"
    inspected: list[str]

    def __init__(self):
        self.inspected = []

    def claims(self, reference):
        return FakeSettings(reference=reference) if reference.startswith(self.scheme) else None

    def inspect(self, settings):
        self.inspected.append(settings.reference)
        if settings.reference.endswith("missing"):
            raise ModelError(f"{settings.reference} is not there", "fetch it")
        if settings.reference.endswith("bug"):
            raise ZeroDivisionError
        return Type("model", "hf", {"precision": "bf16"}, {"params": 10.0, "bytes": 20.0}, "id-of-it")

    def licence(self, settings):
        return "MIT" if settings.reference.endswith("free") else ""


class Folder(Fake):
    name = "source/folder"
    scheme = "/"


class Broken(Fake):
    name = "source/broken"

    def claims(self, reference):
        raise RuntimeError("cannot even look")


def facts(models, sources, folder, today=TODAY):
    scenario = Scenario.model_validate({"name": "x", "models": models})
    return model_facts(scenario, sources, Cache(folder), today)


def test_every_named_model_is_described(tmp_path):
    fake = Fake()
    found = facts({"base": "fake:a", "teacher": "fake:free", "judge": "fake:c"}, [("p", fake)], tmp_path)
    assert found["model.reference"].value == "fake:a"
    assert found["model.reference"].source == "declared"
    assert found["model.params"].value == 10
    assert found["model.bytes"].unit == "B"
    assert found["model.precision"].value == "bf16"
    assert found["model.identity"].value == "id-of-it"
    assert found["model.source"].value == "source/fake"
    assert found["model.format"].value == "hf"
    assert "model.licence" not in found
    assert found["teacher.licence"].value == "MIT"
    assert found["judge.reference"].value == "fake:c"
    assert "embedder.reference" not in found


def test_inspection_is_kept_until_the_day_or_the_files_change(tmp_path):
    fake, model = Fake(), tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    folder = Folder()
    for _ in range(2):
        facts({"base": "fake:a", "teacher": str(model)}, [("p", fake), ("q", folder)], tmp_path / "cache")
    assert (len(fake.inspected), len(folder.inspected)) == (1, 1)
    (model / "config.json").write_text('{"a": 1}')
    facts(
        {"base": "fake:a", "teacher": str(model)},
        [("p", fake), ("q", folder)],
        tmp_path / "cache",
        TODAY + dt.timedelta(days=1),
    )
    assert (len(fake.inspected), len(folder.inspected)) == (2, 2)


def test_packages_are_stamped_by_their_files(tmp_path, monkeypatch):
    package = tmp_path / "some_weights"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    fake = Fake()
    fake.scheme = "package:"
    for reference in ("package:some_weights", "package:some_weights/sub", "package:not.there", "package:nor_this"):
        facts({"base": reference}, [("p", fake)], tmp_path / "cache")
    before = len(fake.inspected)
    facts({"base": "package:some_weights"}, [("p", fake)], tmp_path / "cache", TODAY + dt.timedelta(days=9))
    assert len(fake.inspected) == before, "nothing changed in the package"
    (package / "weights.bin").write_bytes(b"x")
    facts({"base": "package:some_weights"}, [("p", fake)], tmp_path / "cache")
    assert len(fake.inspected) == before + 1


def test_an_unknown_reference_names_what_is_installed():
    with pytest.raises(ModelError, match="no source knows the model 'what'") as caught:
        claim("what", [("p", Fake()), ("q", Folder())])
    assert "source/fake, source/folder" in caught.value.hint
    with pytest.raises(ModelError) as caught:
        claim("what", [])
    assert "none" in caught.value.hint


def test_two_claims_are_refused_naming_both():
    with pytest.raises(ModelError, match=r"source/fake of p and source/fake of q"):
        claim("fake:a", [("p", Fake()), ("q", Fake())])


def test_a_source_that_raises_does_not_lose_the_others():
    assert claim("fake:a", [("b", Broken()), ("p", Fake())]).plugin == "p"
    with pytest.raises(ModelError, match="source/broken of b raised RuntimeError: cannot even look"):
        claim("what", [("b", Broken())])


def test_a_source_that_refuses_says_why():
    class Refusing(Fake):
        def claims(self, reference):
            raise ModelError("that is half a name", "write all of it")

    with pytest.raises(ModelError, match="model 'x': that is half a name"):
        claim("x", [("p", Refusing())])


def test_all_wrong_references_are_named_at_once(tmp_path):
    with pytest.raises(ModelError) as caught:
        facts({"base": "fake:missing", "teacher": "nothing"}, [("p", Fake())], tmp_path)
    assert "fake:missing is not there" in caught.value.message
    assert "no source knows the model 'nothing'" in caught.value.message
    assert "fetch it" in caught.value.hint
    with pytest.raises(ModelError, match=r"^fake:missing is not there$"):
        facts({"base": "fake:missing"}, [("p", Fake())], tmp_path)


def test_a_bug_in_a_plugin_is_its_own(tmp_path):
    with pytest.raises(PluginError, match=r"source/fake of plugin p failed on 'fake:bug': ZeroDivisionError"):
        facts({"base": "fake:bug"}, [("p", Fake())], tmp_path)
