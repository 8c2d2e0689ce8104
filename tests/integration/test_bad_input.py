"""What people get wrong, from the command line to its answer: one clear line, a remedy, the right exit code."""

import json
import resource
import signal

import misfits
import pytest
from driving import events, finish, start, wait_until

PLAN = "steps: [{use: retrieve/toy}, {use: tune/toy}, {use: quantize/toy}]\n"


def refused(result, *said, code=2):
    """The command refused: its lines, a remedy, nothing on stdout, no traceback."""
    got, text, error = result
    assert got == code, error
    assert text == ""
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, error
    assert "hint: " in error
    assert "Traceback" not in error
    for part in said:
        assert part in error, error
    return error


# --- documents


def test_a_missing_corpus(command, toy_project):
    scenario = toy_project / "kistack.yaml"
    scenario.write_text(scenario.read_text().replace("path: documents", "path: dokuments"))
    refused(command("profile"), "kistack.yaml:5", "'dokuments' does not exist", "correct the path")


def test_an_empty_corpus(command, toy_project):
    for file in (toy_project / "documents").iterdir():
        file.unlink()
    refused(command("advise"), "documents", "is empty", ".md")


def test_no_corpus_where_the_plan_retrieves(command, toy_project):
    scenario = toy_project / "kistack.yaml"
    lines = [line for line in scenario.read_text().splitlines() if "corpus:" not in line]
    scenario.write_text("\n".join(lines))
    (toy_project / "plan.yaml").write_text(PLAN)
    refused(command("check", "plan.yaml"), "corpus", "knowledge.corpus")


def test_files_that_cannot_be_read_are_skipped_counted_and_named(command, toy_project):
    documents = toy_project / "documents"
    (documents / "photo.md").write_bytes(b"\x89PNG\x00\x00\xff\xfe\x00")
    (documents / "gone.md").symlink_to(documents / "nowhere")
    code, text, _ = command("profile")
    assert code == 0
    assert "photo.md" in text
    assert "gone.md" in text
    code, text, _ = command("profile", "--json")
    facts = json.loads(text)["facts"]
    assert facts["corpus.skipped"]["value"] == 2
    assert facts["corpus.documents"]["value"] == 12


# --- pairs


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "Why?"}, "no answer to 'Why?'"),
        ({"question": "Why?", "answers": []}, "no answer to 'Why?'"),
        ({"answer": "because"}, "no question"),
        ({"question": "What is the latest release of Product3?", "answer": "9"}, "duplicate question"),
    ],
)
def test_pairs_with_missing_fields_duplicates_or_no_answers(command, toy_project, row, said):
    with (toy_project / "pairs.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    refused(command("profile"), "pairs.jsonl:13", said)


def test_fewer_pairs_than_a_technique_needs(command, toy_project):
    rows = [json.loads(line) for line in (toy_project / "pairs.jsonl").read_text().splitlines()]
    kept = [r for r in rows if r["split"] == "test"] + [r for r in rows if r["split"] == "train"][:1]
    (toy_project / "pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in kept))
    (toy_project / "plan.yaml").write_text("steps: [{use: tune/toy}]\n")
    refused(command("run", "plan.yaml"), "step 1 (tune/toy)", "at least 2", "label more pairs")


# --- plans


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("steps: [{use: retrieve/toi}]", ("has a stage 'retrieve/toi'", "did you mean retrieve/toy")),
        ("steps: [{use: prune/x}]", ("no installed plugin has a stage 'prune/x'", "installed: ", "tune/toy")),
        ("steps: [{use: quantize/toy}, {use: tune/toy}]", ("step 2 (tune/toy)", "through quantize/toy", "tune before")),
        ("steps: [{use: quantize/toy}, {use: quantize/toy}]", ("step 2 (quantize/toy)", "quantize once, last")),
        ("steps: !!python/object/apply:os.system ['true']", ("plan.yaml:1", "tag")),
        ("steps: [{use: tune/toy, with: {rank: -1}}]", ("rank", "-1")),
        ("steps: [{use: tune/toy, with: {rnak: 1}}]", ("rnak",)),
    ],
)  # fmt: skip
def test_plans_that_cannot_work(command, toy_project, plan, said):
    (toy_project / "plan.yaml").write_text(plan)
    refused(command("run", "plan.yaml"), *said)
    assert not any((toy_project / ".kistack" / "runs").glob("*"))


def test_two_plugins_claim_one_name_and_only_that_name_is_lost(command, toy_project):
    (toy_project / "plan.yaml").write_text(PLAN)
    refused(command("check", "plan.yaml", rival=misfits.rival), "'tune/toy'", "rival and toys", "uninstall one")
    (toy_project / "plan.yaml").write_text("steps: [{use: retrieve/toy}]\n")
    assert command("check", "plan.yaml", rival=misfits.rival)[0] == 0


# --- values


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("memory: 4GB", "memory: four", ("kistack.yaml:9", "'four'", "GiB")),
        ("memory: 4GB", "latency_p95: soon", ("kistack.yaml:9", "'soon'")),
        ("changes: 1%/day", "as_of: 2024-13-01", ("kistack.yaml:7", "2024-13-01")),
        ("changes: 1%/day", "changes: now and then", ("kistack.yaml:7", "'now and then'", "half-life")),
        ("name: toy-desk", "name: !!python/name:os.system", ("kistack.yaml:2", "tag")),
        ("limits:", "limit:", ("kistack.yaml:9", "limit")),
    ],
)
def test_sizes_durations_dates_and_tags_that_do_not_parse(command, toy_project, old, new, said):
    scenario = toy_project / "kistack.yaml"
    scenario.write_text(scenario.read_text().replace(old, new))
    refused(command("advise"), *said)


@pytest.mark.parametrize("verb", [("profile",), ("advise",), ("check", "plan.yaml"), ("run", "plan.yaml")])
def test_a_metric_that_nothing_installed_gives(command, toy_project, verb):
    scenario = toy_project / "kistack.yaml"
    scenario.write_text(scenario.read_text().replace("contained", "contianed"))
    (toy_project / "plan.yaml").write_text(PLAN)
    refused(command(*verb), "kistack.yaml:3", "task.metric", "'contianed'", "did you mean contained?")


# --- memory and disk


def test_a_model_that_does_not_fit_the_stated_memory_is_rejected_with_its_remedy(command, toy_project):
    scenario = toy_project / "kistack.yaml"
    scenario.write_text(scenario.read_text().replace("memory: 4GB", "memory: 500B"))
    code, text, _ = command("advise", "--all")
    assert code == 0
    assert "500 B" in text
    assert "raise limits.memory to" in text
    refused_text = command("advise", "-o", "plan.yaml")
    assert refused_text[0] == 2
    assert "no combination keeps the limits" in refused_text[2]
    assert not (toy_project / "plan.yaml").exists()


@pytest.mark.parametrize("verb", ["check", "run"])
def test_a_plan_by_hand_that_does_not_fit_the_stated_memory_is_refused(command, toy_project, verb):
    scenario = toy_project / "kistack.yaml"
    scenario.write_text(scenario.read_text().replace("memory: 4GB", "memory: 500B"))
    (toy_project / "plan.yaml").write_text(PLAN)
    refused(command(verb, "plan.yaml"), "plan.yaml", "memory", "500 B", "raise limits.memory to", "--over-limits")
    assert not any((toy_project / ".kistack" / "runs").glob("*"))
    assert command(verb, "plan.yaml", "--over-limits")[0] == 0


def test_a_full_disk_while_an_artifact_is_written(toy_project, toy_environment):
    """A limit on file sizes refuses a write as a full disk does, by the kernel and in the middle of the file."""
    (toy_project / "plan.yaml").write_text("steps: [{use: tune/toy}, {use: quantize/bulky}]\n")

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))

    options = {"cwd": toy_project, "env": toy_environment}
    error = refused(finish(start("-q", "run", "plan.yaml", preexec_fn=small_files, **options)), "disk full", code=1)
    assert "quantize/bulky" in error
    assert "kistack store gc" in error
    assert not any((toy_project / ".kistack/store/tmp").iterdir())
    code, text, error = finish(start("-q", "run", "plan.yaml", "--json", **options))
    assert code == 0, error
    status = {s["use"]: s["status"] for s in json.loads(text)["steps"]}
    assert (status["tune/toy"], status["quantize/bulky"]) == ("reused", "done")


def test_a_corrupt_artifact_is_noticed_named_and_made_again(command, toy_project):
    (toy_project / "plan.yaml").write_text(PLAN)
    code, text, _ = command("-q", "run", "plan.yaml", "--json")
    assert code == 0
    before = {s["use"]: s["outputs"] for s in json.loads(text)["steps"]}
    victim = next((toy_project / ".kistack/store/artifacts").glob("*/index.json"))
    victim.chmod(0o644)
    victim.write_text("[")
    code, text, error = command("run", "plan.yaml", "--json")
    assert code == 0
    assert "warning: " in error
    assert "retrieve/toy" in error
    document = json.loads(text)
    status = {s["use"]: s["status"] for s in document["steps"]}
    assert status["retrieve/toy"] == "done"
    assert {s["use"]: s["outputs"] for s in document["steps"]} == before


# --- interrupted


def test_ctrl_c_is_one_line_and_keeps_what_is_finished(toy_project, toy_environment):
    (toy_project / "plan.yaml").write_text("steps: [{use: retrieve/toy}, {use: tune/toy, with: {seconds: 20}}]\n")
    process = start("run", "plan.yaml", cwd=toy_project, env=toy_environment)
    wait_until(lambda: tuning(toy_project) >= 2, process=process)
    process.send_signal(signal.SIGINT)
    code, text, error = finish(process, 30)
    refused((code, text, error), "stopped", code=1)
    [run] = events(toy_project).values()
    assert run[-1].status == "cancelled"
    assert "retrieve/toy" in {e.use for e in run if type(e).__name__ == "StepDone"}


def tuning(root):
    """How far the tuner of the last run is, in batches."""
    found = list(events(root).values()) if (root / ".kistack/runs").is_dir() else []
    return max((e.done for e in (found[-1] if found else []) if getattr(e, "unit", "") == "batches"), default=0)
