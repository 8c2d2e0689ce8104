import json

import toys

from kistack.bundle.diagnosis import diagnose, redacted
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.host import load_host


class Broken:
    @hookimpl
    def kistack_register_tuners(self):
        raise RuntimeError("no tuner today")


def host_with(**more):
    return load_host(entry_points=False, extra={"toys": toys, **more})


def test_a_sound_project_is_usable_and_nothing_is_written(toy_project):
    before = sorted(toy_project.rglob("*"))
    found = diagnose(toy_project, host_with())
    assert found.usable
    assert found.project == {"folder": str(toy_project), "scenario": "toy-desk", "fault": ""}
    assert [(m.reference, m.source, m.slots) for m in found.models] == [("toy:base", "source/toy", ("model",))]
    assert found.devices["ram_total"] >= found.devices["ram_free"] > 0
    assert {x.name for x in found.libraries} >= {"pluggy", "pydantic", "typer"}
    document = json.loads(json.dumps(found.to_json()))
    assert (document["schema"], document["usable"]) == (1, True)
    assert sorted(toy_project.rglob("*")) == before


def test_a_plugin_that_fails_is_broken_and_the_rest_is_told(toy_project):
    found = diagnose(toy_project, host_with(bad=Broken()))
    assert not found.usable
    assert "plugin bad: kistack_register_tuners raised RuntimeError: no tuner today" in found.broken
    assert {p["name"]: p["state"] for p in found.plugins} == {"kistack": "ok", "toys": "ok", "bad": "failed"}


def test_a_scenario_a_model_and_a_ledger_that_cannot_be_read_are_broken(toy_project):
    work = toy_project / ".kistack"
    work.mkdir()
    (work / "ledger.db").write_bytes(b"not a database, whatever its name says it is" * 30)
    scenario = toy_project / "kistack.yaml"
    scenario.write_text(scenario.read_text().replace("toy:base", "elsewhere:base"))
    told = "\n".join(diagnose(toy_project, host_with()).broken)
    assert "the ledger cannot be read" in told
    assert "model elsewhere:base: no source knows the model" in told
    scenario.write_text("schema: 1\nname: 3\n")
    found = diagnose(toy_project, host_with())
    assert "the scenario cannot be read" in "\n".join(found.broken)
    assert found.models == ()


def test_without_plugins_and_project_it_says_what_is_not_there(tmp_path):
    found = diagnose(tmp_path, load_host(entry_points=False))
    assert found.usable
    assert "no installed plugin has a stage of kind 'tune'" in found.notes
    assert (found.project["folder"], found.store.state, found.models) == ("", "absent", ())


class Sources:
    class Listing(toys.ToySource):
        name = "source/listing"

        def installed(self):
            return [("listed:one", 12)]

        def claims(self, reference):
            return None

    class Raising(Listing):
        name = "source/raising"

        def installed(self):
            raise OSError("no cache")

    @hookimpl
    def kistack_register_sources(self):
        return [self.Listing, self.Raising]


def test_sources_say_which_models_they_find_and_one_that_raises_is_named(toy_project):
    found = diagnose(toy_project, host_with(more=Sources()))
    assert [(m.reference, m.bytes) for m in found.models if m.source == "source/listing"] == [("listed:one", 12)]
    assert "model source/raising: plugin more: looking raised OSError: no cache" in found.broken


def test_no_secret_is_told(toy_project, monkeypatch):
    monkeypatch.setenv("HOME", str(toy_project.parent))
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnop")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@host")
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    scenario = toy_project / "kistack.yaml"
    scenario.write_text(scenario.read_text().replace("toy:base", "https://me:secret@host/m?token=hush"))
    found = diagnose(toy_project, host_with())
    text = json.dumps(found.to_json())
    for secret in ("hf_abcdef", "secret", "hush", str(toy_project.parent)):
        assert secret not in text
    assert found.project["folder"] == "~/project"
    assert {"HF_TOKEN", "MLFLOW_TRACKING_URI", "GOMP_SPINCOUNT"} <= set(found.variables)
    assert "https://host/m?…" in text or "https://host/m?\\u2026" in text


def test_what_is_redacted_and_what_is_not(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert redacted("/home/me/x and /home/me.") == "~/x and ~."
    assert redacted("/home/meagan/x, /home/me-too") == "/home/meagan/x, /home/me-too"
    assert redacted("sk-abcdefghijkl is it") == "… is it"
    assert redacted("see http://a/b?key=1&x=2 now") == "see http://a/b?… now"
    assert redacted("what? no address, hub:org/name@main") == "what? no address, hub:org/name@main"
