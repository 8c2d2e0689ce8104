import json
import subprocess
import sys

import pytest
from commanding import commands

from kistack.cli import places
from kistack.domain.planfile import load_plan
from kistack.sweeping.attribution import Effect

PLAN = """\
schema: 1
steps:
- {use: retrieve/toy}
- {use: tune/toy}
- {use: quantize/toy}
"""


@pytest.fixture
def kistack(monkeypatch, toy_host, toy_project, capsys):
    """Run a command in the toy project; returns code, stdout, stderr."""
    monkeypatch.chdir(toy_project)
    monkeypatch.setenv("COLUMNS", "200")
    for module in ("kistack.cli.places", "kistack.cli.assets", "kistack.cli.bundles", "kistack.cli.demoing"):
        monkeypatch.setattr(f"{module}.host", lambda: toy_host)

    with commands(capsys) as call:
        yield call


@pytest.fixture
def plan_file(toy_project):
    path = toy_project / "plan.yaml"
    path.write_text(PLAN)
    return path


def test_profile_shows_facts_with_sources(kistack):
    code, text, _ = kistack("profile")
    assert code == 0
    assert "declared" in text
    assert "measured" in text
    assert "MIT" in text
    code, text, _ = kistack("profile", "--json")
    document = json.loads(text)
    assert document["facts"]["corpus.documents"]["value"] == 12


def test_advise_writes_a_plan_that_check_and_run_take(kistack, toy_project):
    code, text, error = kistack("advise", "-o", "best.yaml")
    assert code == 0
    assert "Run " in text
    assert "kistack run best.yaml" in error
    code, text, _ = kistack("check", "best.yaml")
    assert code == 0
    assert "composes" in text
    (toy_project / "best.yaml").write_text("mine")
    code, text, _ = kistack("advise", "--json", "-o", "best.yaml", "--force")
    assert json.loads(text)["best"]["plan"]["steps"]
    assert "steps:" in (toy_project / "best.yaml").read_text()


def test_a_what_if_writes_nothing_and_says_how_the_choice_moved(kistack, toy_project):
    kistack("profile")
    before = {p: p.stat().st_mtime_ns for p in toy_project.rglob("*") if p.is_file()}
    code, text, _ = kistack("advise", "--set", "limits.memory=1MB", "--set", "pairs.train=3")
    assert code == 0
    assert "Nothing was written." in text
    assert "4GB" in text
    assert "1MB" in text
    code, text, _ = kistack("advise", "--json", "--set", "traffic.queries_per_day=5000")
    document = json.loads(text)
    assert document["what_if"]["changes"][0]["after"].startswith("5000")
    assert document["what_if"]["before"]["name"] == document["what_if"]["after"]["name"]
    assert document["flips"]
    assert {p: p.stat().st_mtime_ns for p in toy_project.rglob("*") if p.is_file()} == before
    code, _, error = kistack("advise", "--set", "pairs.train=3", "-o", "best.yaml")
    assert code == 2
    assert "exclude each other" in error


def test_another_machine_to_serve_is_a_what_if_and_says_what_moved(kistack, toy_project):
    code, text, _ = kistack("advise", "--target", "raspberry-pi-5")
    assert code == 0
    row = next(line.split("  ") for line in text.splitlines() if "serve_on" in line)
    assert [cell.strip() for cell in row if cell.strip()] == ["serve_on", "this machine", "raspberry-pi-5"]
    assert "recommended" in text[: text.index("\nRun ")]
    kistack("profile", "--export", "here.json")
    _, text, _ = kistack("advise", "--target", "here.json", "--set", "serve_on.ram=2GiB", "--json")
    changes = {c["key"]: c["after"] for c in json.loads(text)["what_if"]["changes"]}
    assert changes == {"serve_on": f"{toy_project / 'here.json'}, ram: 2GiB", "serve_on.ram": "2GiB"}
    code, _, error = kistack("advise", "--target", "this", "--set", "serve_on=rtx-4090")
    assert code == 2
    assert "both name a machine" in error
    assert kistack("advise", "--target", "this", "-o", "best.yaml")[0] == 0
    assert load_plan(toy_project / "best.yaml").steps


def test_what_must_change_is_asked_and_answered(kistack):
    code, text, _ = kistack("advise", "--what-must-change", "for=nothing")
    assert code == 0
    assert "What must change for nothing" in text
    code, text, _ = kistack("advise", "--what-must-change", "tune", "--json")
    assert json.loads(text)["what_must_change"]["for"] == "tune"


def test_check_says_what_is_put_in_and_what_is_done(kistack, plan_file):
    code, text, _ = kistack("check", plan_file)
    assert code == 0
    assert "merge/toy (auto)" in text
    assert "pairs/passages (auto)" in text
    code, text, _ = kistack("check", plan_file, "--json")
    assert json.loads(text)["cached"] == []


def test_run_report_ask_and_the_store(kistack, plan_file, toy_project):
    code, text, error = kistack("run", plan_file)
    assert code == 0
    assert "plan against baseline, contained" in text
    assert "tune/toy" in error
    code, text, error = kistack("-q", "run", plan_file, "--json")
    document = json.loads(text)
    assert error == ""
    assert {s["status"] for s in document["steps"]} == {"reused"}
    assert document["systems"]["plan"]["contained"]["value"] == 1
    for form, sign in (("text", "Run "), ("md", "# Run "), ("json", "{")):
        code, text, _ = kistack("report", "last", "--format", form)
        assert code == 0
        assert sign in text
    (toy_project / "report.md").write_text("mine")
    code, text, _ = kistack("report", "--format", "md", "-o", "report.md", "--force")
    assert "# Run " in (toy_project / "report.md").read_text()
    code, text, error = kistack("ask", "last", " ")
    assert (code, text) == (2, "")
    assert "the question is empty" in error
    code, text, error = kistack("ask", "documents", "What?")
    assert (code, text) == (2, "")
    assert "documents is not a bundle" in error
    code, text, error = kistack("ask", "2", "What?")
    assert (code, text) == (2, "")
    assert "run '2' is ambiguous" in error
    code, text, _ = kistack("ask", toy_project / ".kistack" / "runs" / document["run"], "Is Product5 out?")
    assert code == 0
    code, text, _ = kistack("ask", "last", "What is the latest release of Product5")
    assert "1.5" in text
    assert "Product5.md" in text
    code, text, _ = kistack("ask", document["bundle"], "What is the latest release of Product5", "--json")
    assert json.loads(text)["answers"][0]["text"] == "1.5"
    code, text, _ = kistack("runs", "--json")
    assert [r["status"] for r in json.loads(text)["runs"]] == ["done", "done"]
    code, text, _ = kistack("store", "du", "--json")
    assert json.loads(text)["steps"] > 5
    code, text, _ = kistack("store", "gc", "--keep", "1")
    assert "freed" in text
    code, text, _ = kistack("store", "verify")
    assert code == 0
    assert "as it was made" in text
    code, text, _ = kistack("store", "gc", "--keep", "0", "--budget", "0B", "--json")
    assert json.loads(text)["left"] >= 0


def test_a_damaged_store_is_told_and_exits_with_1(kistack, plan_file, toy_project):
    kistack("run", plan_file)
    victim = next((toy_project / ".kistack/store/artifacts").glob("*/index.json"))
    victim.chmod(0o644)
    victim.write_text("[]")
    code, text, error = kistack("store", "verify")
    assert code == 1
    assert "retrieve" in text or "index" in text
    assert "damaged" in error


def test_models_and_plugins_are_listed(kistack):
    code, text, _ = kistack("models", "list", "--json")
    assert json.loads(text)["models"][0]["reference"] == "toy:base"
    code, text, _ = kistack("models", "fetch", "toy:other")
    assert code == 0
    code, text, _ = kistack("plugins", "list", "--json")
    listed = {p["name"]: p["stages"] for p in json.loads(text)["plugins"]}
    assert "tune/toy" in listed["toys"]


def test_init_writes_a_scenario_and_never_over_one(kistack, tmp_path):
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    code, _, _ = kistack("init", fresh)
    assert code == 0
    assert (fresh / "kistack.yaml").read_text().count("#") > 5
    code, _, error = kistack("init", fresh)
    assert code == 2
    assert "exists already" in error
    assert kistack("init", fresh, "--force")[0] == 0
    code, _, error = kistack("init", tmp_path / "nowhere")
    assert code == 2


def test_export_writes_this_machine(kistack, toy_project):
    code, _, _ = kistack("profile", "--export", "machine.json")
    assert code == 0
    assert (toy_project / "machine.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "nowhere.yaml"), "nowhere.yaml"),
        (("ask", "no-bundle", "x"), "there is no bundle no-bundle"),
        (("report", "no-run"), "no run"),
        (("report", "--format", "docx"), "no report format"),
        (("cancel", "no-run"), "no run"),
        (("profile", "--nonsense"), "nonsense"),
        (("advise", "--set", "limits.memroy=2GiB"), "limits.memroy"),
        (("advise", "--set", "pairs.trian=2"), "pairs.trian"),
        (("advise", "--set", "limits.memory"), "limits.memory"),
        (("advise", "--set", "limits.memory=much"), "much"),
        (("advise", "--what-must-change", "for=tuning"), "tuning"),
        (("frobnicate",), "frobnicate"),
        (("store", "gc", "--budget", "7 parsecs"), "7 parsecs"),
        (("models", "fetch", "nobody:knows"), "nobody:knows"),
    ],
)
def test_bad_input_is_one_line_and_a_remedy_with_exit_code_2(kistack, arguments, said):
    code, text, error = kistack(*arguments)
    assert code == 2
    assert text == ""
    assert said in error
    assert "hint: " in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("plan", "said", "remedy"),
    [
        ("steps: [{use: tune/toi}]", "no installed plugin has a stage 'tune/toi'", "tune/toy"),
        ("steps: [{use: quantize/toy}, {use: tune/toy}]", "step 2 (tune/toy)", "tune before quantizing"),
        ("steps: [{use: tune/toy, with: {rank: many}}]", "rank = 'many'", "rank of the adapter"),
        ("steps: !!python/object:os.system {}", "plan.yaml:1", ""),
        ("schema: 9\nsteps: []", "plan.yaml:1", ""),
        ("stepz: []", "stepz", "steps"),
    ],
)
def test_a_bad_plan_names_what_and_where(kistack, toy_project, plan, said, remedy):
    (toy_project / "plan.yaml").write_text(plan)
    code, _, error = kistack("check", "plan.yaml")
    assert code == 2
    assert said in error
    assert remedy in error
    assert not (toy_project / ".kistack" / "runs").exists() or not any((toy_project / ".kistack" / "runs").iterdir())


def test_a_bad_scenario_names_line_value_and_remedy(kistack, toy_project):
    text = (toy_project / "kistack.yaml").read_text().replace("4GB", "lots").replace("1%/day", "sometimes")
    (toy_project / "kistack.yaml").write_text(text)
    code, _, error = kistack("advise")
    assert code == 2
    assert "kistack.yaml:9" in error
    assert "lots" in error
    assert "kistack.yaml:7" in error
    assert "sometimes" in error


def test_no_project_here(kistack, tmp_path):
    code, _, error = kistack("profile", "-C", tmp_path)
    assert code == 2
    assert "kistack init" in error


def test_a_failed_run_exits_with_1_and_keeps_what_was_finished(kistack, toy_project, monkeypatch):
    import toys

    monkeypatch.setenv("TOY_FAIL", "quantize/toy")
    (toy_project / "plan.yaml").write_text(PLAN)
    code, _, error = kistack("run", "plan.yaml")
    assert code == 1
    assert "quantize/toy" in error
    assert "told to fail" in error
    assert "Traceback" not in error
    run = next((toy_project / ".kistack" / "runs").iterdir())
    for named in ("last", run.name, run):
        code, text, error = kistack("ask", named, "What?")
        assert (code, text) == (2, "")
        assert f"run {run.name} left no bundle" in error
        assert f"kistack report {run.name}" in error
    code, text, _ = kistack("report", "last")
    assert code == 0
    assert "told to fail" in text
    monkeypatch.delenv("TOY_FAIL")
    code, text, _ = kistack("-q", "run", "plan.yaml", "--json")
    assert code == 0
    status = {s["use"]: s["status"] for s in json.loads(text)["steps"]}
    assert status["tune/toy"] == "reused"
    assert status["quantize/toy"] == "done"
    assert toys.ToyQuantize.name == "quantize/toy"


def test_debug_shows_the_traceback(kistack):
    from kistack.errors import KistackError

    with pytest.raises(KistackError):
        kistack("--debug", "check", "nowhere.yaml")


def test_version_help_and_nothing(kistack):
    assert kistack("--version")[1].startswith("kistack ")
    code, text, _ = kistack("--help")
    assert code == 0
    for command in ("init", "profile", "advise", "check", "run", "runs", "attach", "cancel", "report", "ask", "models",
                    "store", "plugins", "demo"):  # fmt: skip
        assert command in text
    code, text, error = kistack()
    assert code == 2
    assert "advise" in text + error


def test_host_problems_are_warnings_and_errors_under_strict(monkeypatch, capsys):
    from kistack.plugins import host as hosts

    class Sick:
        problems = ("plugin x: unknown hook",)

    monkeypatch.setattr(hosts, "default_host", Sick)
    places.host()
    assert "plugin x" in capsys.readouterr().err


LIGHT = """
import sys
from kistack.cli import main
code = main.run({arguments!r})
heavy = {{"torch", "transformers", "peft", "llama_index", "lancedb", "sklearn", "gguf", "textual"}} & set(sys.modules)
assert not heavy, heavy
assert code == {code}, code
"""


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["plugins", "list"], 0), (["check", "no.yaml"], 2)])
def test_commands_start_without_machine_learning(arguments, code, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIGHT.format(arguments=arguments, code=code)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_importing_kistack_imports_nothing_heavy():
    code = "import kistack, sys; assert 'torch' not in sys.modules and 'pydantic' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_report_is_written_as_one_html_file_with_a_sweep_beside_it(kistack, plan_file, tmp_path):
    assert kistack("run", plan_file)[0] == 0
    sweep = tmp_path / "sweep.json"
    effect = Effect("quality", ("tune",), "points", 30.0, 20.0, 40.0, 8, 8).to_json()
    sweep.write_text(json.dumps({"schema": 1, "metric": "contained", "attribution": {"effects": [effect]}}))
    code, text, error = kistack("report", "--format", "html", "-o", tmp_path / "r.html", "--sweep", sweep)
    assert (code, text) == (0, "")
    assert "written to" in error
    html = (tmp_path / "r.html").read_text()
    assert html.count("<svg") >= 5
    assert "Effects on quality (contained)" in html
    assert 'href="project/.kistack/runs/' in html
    sweep.write_text("[]")
    code, _, error = kistack("report", "--sweep", sweep)
    assert code == 2
    assert error.count("\n") == 2
    assert kistack("report", "--sweep", tmp_path / "none.json")[0] == 2


def test_a_run_is_reproduced_and_told_apart_from_another(kistack, plan_file, toy_project):
    assert kistack("run", plan_file)[0] == 0
    code, text, _ = kistack("reproduce", "--json")
    document = json.loads(text)
    assert (code, document["reproduced"], document["schema"]) == (0, True, 1)
    (toy_project / "documents" / "Product0.md").write_text("The latest release of Product0 is 2.0\n")
    code, text, _ = kistack("reproduce", document["origin"])
    assert code == 1
    assert "Not reproduced" in text
    code, text, _ = kistack("diff", document["origin"], "last")
    assert code == 0
    assert "The same plan." in text
    assert "expected: 1.0" in text
    code, text, _ = kistack("diff", document["origin"], "last", "--json")
    assert json.loads(text)["first"] == document["origin"]
    for wrong in (("reproduce", "nothing"), ("diff", "last", "nothing"), ("reproduce", "--tolerance", "7")):
        code, text, error = kistack(*wrong)
        assert (code, text) == (2, "")
        assert "hint:" in error
