"""Tiny artifacts for every port: written, offered by a plugin, or made by running a stage."""

import pytest
import toys

from kistack.domain.artifacts import Artifact
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.host import load_host
from kistack.plugins.stages import Port
from kistack.testing.specimens import NoSpecimen, Specimens, emptied


@pytest.fixture
def specimens(tmp_path, toy_host):
    return Specimens(tmp_path / "specimens", toy_host)


def test_each_is_made_once_and_meets_its_port(specimens):
    pairs = specimens.for_port(Port(kind="pairs", where={"passages": "without"}, prefer={"passages": "with"}))
    assert pairs.facets["passages"] == "without"
    assert specimens.for_port(Port(kind="pairs", prefer={"passages": "with"})).facets["passages"] == "with"
    assert specimens.of("corpus") is specimens.of("corpus")
    assert specimens.of("embedder").format == "sentence-transformers"


def test_opened_ports_get_what_opens_them(specimens):
    model = specimens.for_port(Port(kind="model", opened=True))
    index = specimens.for_port(Port(kind="index", opened=True))
    assert model.opener.stage == "kistack.testing.rehearsal:RehearsedModel"
    assert index.opener.stage == "kistack.testing.rehearsal:RehearsedIndex"


def test_a_facet_that_is_only_a_name_is_taken_on_and_another_is_not(specimens):
    where = {"format": "hf", "vocabulary": "mine"}
    assert specimens.for_port(Port(kind="model", where=where)).facets["vocabulary"] == "mine"
    with pytest.raises(NoSpecimen, match="precision int8"):
        specimens.for_port(Port(kind="model", where={"format": "hf", "precision": "int8"}))


def test_what_nothing_makes_is_named(specimens):
    with pytest.raises(NoSpecimen, match="kind model, format gguf or onnx"):
        specimens.of("model", ["gguf", "onnx"])


def test_what_a_stage_makes_is_made_by_running_it(specimens):
    made = specimens.of("signals", ["toy"])
    assert (made.kind, made.format) == ("signals", "toy")
    assert (made.path / "signals.json").is_file()
    assert made.fact("bytes") > 0


def test_what_a_plugin_offers_comes_first(tmp_path):
    class Offering:
        @hookimpl
        def kistack_make_specimen(self, kind, format, folder):  # noqa: A002 - as the hook names it
            if (kind, format) != ("signals", "toy"):
                return None
            (folder / "offered").touch()
            return Artifact(kind, format, folder, "", "offered")

    host = load_host(entry_points=False, extra={"toys": toys, "offering": Offering()})
    assert Specimens(tmp_path, host).of("signals", ["toy"]).key == "offered"


def test_an_emptied_artifact_keeps_its_other_files(specimens, tmp_path):
    pairs = specimens.of("pairs")
    bare = emptied(pairs, tmp_path / "empty")
    assert (bare.path / "pairs.jsonl").read_text() == ""
    assert (bare.path / "prompt.json").read_text() == (pairs.path / "prompt.json").read_text()
    assert bare.fact("count") == 0
