"""The whole profile: every promised fact, each with source and reason; at once when nothing changed."""

import datetime as dt
import json
import os
import subprocess
import sys
import time

import pytest

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile, measured
from kistack.domain.scenario import load_scenario
from kistack.errors import DataError, ModelError
from kistack.plugins.stages import Settings, Stage
from kistack.profiling import assembly
from kistack.profiling.assembly import profile
from kistack.profiling.corpus import load_corpus
from kistack.profiling.pairs import identity
from kistack.profiling.splits import load_pairs

TODAY = dt.date(2024, 7, 1)

#: What other modules may count on.
PROMISED = {
    "hardware": "cores isa ram_total ram_free disk_free bandwidth flops_fp32 flops_bf16 gpus platform fingerprint",
    "serving": "cores isa ram_total ram_free bandwidth flops_fp32 flops_bf16 gpus platform fingerprint",
    "corpus": "documents bytes tokens skipped duplicates near_duplicates formats languages parts licence identity",
    "freshness": "source changed_per_day half_life_days age_days added_per_day removed_per_day intervals",
    "pairs": "train test answer_words question_words answers_in_corpus leakage "
    "prompt_tokens answer_tokens identity train_bytes test_bytes "
    "near_leakage short_answers distinct_answers labels",
    "items": "identity",
    "model": "reference source format identity params bytes precision",
    "scenario": "task metric at_least queries_per_day concurrency horizon_days indifference "
    "local_only erasable per_user_access limit_memory limit_disk limit_latency limit_training limit_money "
    "refresh_days retrain_days",
}


class Source(Stage):
    name = "source/test"

    def claims(self, reference):
        return Settings() if reference.startswith("test:") else None

    def inspect(self, settings):
        return Type("model", "hf", {"precision": "bf16"}, {"params": 10.0, "bytes": 20.0}, "id")


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine that need not be measured."""
    values = {
        "cores": 2,
        "isa": "avx2",
        "ram_total": 8e9,
        "ram_free": 6e9,
        "disk_free": 1e10,
        "bandwidth": 2e10,
        "flops_fp32": 1e11,
        "flops_bf16": 5e10,
        "gpus": 0,
        "platform": "linux-x86_64",
        "fingerprint": "f",
    }
    facts = {n: measured(v, "stated by the test") for n, v in values.items()}
    monkeypatch.setattr(assembly, "probe", lambda *_args: facts)


@pytest.fixture
def project(tmp_path):
    for folder, version in (("old", 1), ("docs", 2)):
        (tmp_path / folder).mkdir()
        for n in range(40):
            changed = version if n % 2 else 1
            text = f"# Product {n}\nThe version of product {n} is {changed}.0.\nIt is made of parts.\n"
            (tmp_path / folder / f"{n}.md").write_text(text)
    (tmp_path / "docs" / "LICENSE").write_text("MIT License")
    rows = [
        {"question": f"Which version has product {n}?", "answer": f"{2 if n % 2 else 1}.0", "gold": f"{n}.md"}
        for n in range(40)
    ]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    write(tmp_path)
    return tmp_path


def write(folder, **changes):
    lines = {
        "name": "test",
        "knowledge": "{corpus: docs, pairs: pairs.jsonl, snapshots: {2024-03-23: old}, as_of: 2024-07-01}",
        "models": "{base: 'test:a'}",
        "serve_on": "{ram: 4GiB, disk: 1GB}",
        "limits": "{memory: 2GiB}",
        **changes,
    }
    (folder / "kistack.yaml").write_text("".join(f"{k}: {v}\n" for k, v in lines.items()))


def take(folder, today=TODAY):
    return profile(load_scenario(folder), sources=[("plugin", Source())], cache=folder / "cache", today=today)


def test_every_promised_fact_is_there_with_source_and_reason(project):
    found = take(project)
    promised = [f"{section}.{name}" for section, names in PROMISED.items() for name in names.split()]
    assert [n for n in promised if n not in found] == []
    assert all(f.why and f.source in {"declared", "measured", "assumed"} for f in found.facts.values())
    assert Profile.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert found.number("corpus.documents") == 40
    assert found.text("freshness.source") == "snapshots"
    assert found.number("freshness.changed_per_day") == pytest.approx(0.0018, rel=0.1)  # 1 of 6 pieces in 100 days
    assert found.number("pairs.train") + found.number("pairs.test") == 40
    assert found.number("pairs.test") == 12
    assert found.number("pairs.answers_in_corpus") == 1
    assert found.number("pairs.leakage") == 0
    assert found.number("serving.ram_total") == 4 * 1024**3
    assert found["scenario.limit_memory"].source == "declared"
    assert found["scenario.limit_disk"].value is None
    assert "no limit" in found["scenario.limit_disk"].why
    assert found["scenario.horizon_days"].value == 90
    assert found["scenario.horizon_days"].source == "assumed"
    assert found["scenario.refresh_days"].value is None
    write(project, upkeep="{refresh_every: 12h, retrain_every: 30d}")
    kept = take(project)
    assert (kept.number("scenario.refresh_days"), kept.number("scenario.retrain_days")) == (0.5, 30)
    assert kept["scenario.retrain_days"].source == "declared"


def test_identities_are_those_of_what_is_written(project):
    found, scenario = take(project), load_scenario(project)
    split = load_pairs(scenario)
    assert found.text("corpus.identity") == load_corpus(scenario).digest
    assert found.text("pairs.identity") == identity(split.train, scenario.template)
    assert found.text("items.identity") == identity(split.test, scenario.template)


@pytest.mark.speed
def test_an_unchanged_project_is_not_read_again(project, monkeypatch):
    first = take(project)
    monkeypatch.setattr(assembly, "load_corpus", lambda _s: pytest.fail("read again"))
    monkeypatch.setattr(assembly, "load_pairs", lambda _s: pytest.fail("read again"))
    start = time.process_time()
    assert take(project).digest == first.digest
    assert time.process_time() - start < 0.3


def test_what_changed_is_read_again(project):
    first = take(project)
    (project / "docs" / "new.txt").write_text("A new document.")
    second = take(project)
    assert second.number("corpus.documents") == 41
    assert second.text("corpus.identity") != first.text("corpus.identity")
    assert second.text("pairs.identity") == first.text("pairs.identity")
    os.utime(project / "pairs.jsonl", ns=(1, 1))
    write(project, prompt="{system: 'Answer.'}")
    third = take(project)
    assert third.text("pairs.identity") != first.text("pairs.identity")
    assert take(project, TODAY + dt.timedelta(days=10)).number("freshness.age_days") == 10


def test_parts_that_may_not_be_trained_on_are_facts(project):
    write(project, knowledge="{corpus: [{path: docs, erasable: yes}, {path: old, part: archive}]}")
    found = take(project)
    assert found["scenario.erasable"].value is True
    assert "docs" in found["scenario.erasable"].why
    assert found["scenario.per_user_access"].value is False
    assert found.number("corpus.documents") == 80
    assert found.number("pairs.train") == 0
    assert "pairs.identity" not in found


def test_the_share_newer_than_what_the_base_knows(project, monkeypatch):
    assert "freshness.after_cutoff" not in take(project)
    monkeypatch.setattr(Source, "knowledge_cutoff", lambda _self, _settings: "2024-05", raising=False)
    monkeypatch.setattr(Source, "version", "2")
    (project / "docs" / "notes-2024-06-01.md").write_text("Later than the base knows.")
    (project / "docs" / "notes-2023-06-01.md").write_text("Earlier.")
    found = take(project)
    assert found.text("model.cutoff") == "2024-05-31"
    assert found.number("freshness.after_cutoff") == 0.5


def test_facts_of_every_part(project):
    corpus = "[{path: docs, part: 'v1.2', changes: 2%/month}, {path: old, per_user_access: yes}]"
    write(project, knowledge=f"{{corpus: {corpus}, pairs: pairs.jsonl}}")
    found = take(project)
    assert found.text("corpus.parts") == "v1_2, old"
    assert found.number("part.v1_2.documents") == 40
    assert found.number("part.v1_2.bytes") == sum(
        len((project / "docs" / f"{n}.md").read_text().strip()) for n in range(40)
    )
    assert found.number("part.v1_2.tokens") > 100
    assert found["part.v1_2.changed_per_day"].source == "declared"
    assert found["part.old.per_user_access"].value is True
    assert found["part.old.per_user_access"].source == "declared"
    assert found["part.old.erasable"].value is False
    assert found["part.old.changed_per_day"].source == "assumed"
    assert found.number("part.old.train_pairs") == 0
    write(project, knowledge=f"{{corpus: {corpus.replace('2%', '4%')}, pairs: pairs.jsonl}}")
    assert take(project).number("part.v1_2.changed_per_day") > found.number("part.v1_2.changed_per_day")


def test_behaviour_needs_no_documents(project):
    write(project, task="{kind: behaviour}", knowledge="{pairs: pairs.jsonl}")
    found = take(project)
    assert found.number("corpus.documents") == 0
    assert "corpus.identity" not in found
    assert found.number("pairs.train") == 28
    assert found.text("freshness.source") == "none"


def test_what_cannot_be_used_is_refused(project):
    write(project, knowledge="{pairs: pairs.jsonl}")
    with pytest.raises(DataError, match="names no corpus"):
        take(project)
    write(project, models="{base: 'other:a'}")
    with pytest.raises(ModelError, match="no source knows"):
        take(project)


def test_a_cached_profile_imports_nothing_heavy(project):
    code = f"""
import datetime, sys
from pathlib import Path
from kistack.domain.scenario import load_scenario
from kistack.profiling import assembly
assembly.probe = lambda *_: {{}}
assembly.model_facts = lambda *_: {{}}
found = assembly.profile(
    load_scenario({str(project)!r}), sources=[], cache=Path({str(project / "cache")!r}), today=datetime.date(2024, 7, 1)
)
heavy = {{"numpy", "torch", "transformers", "sklearn", "scipy"}}
print(found.text("corpus.formats"), heavy & set(sys.modules))
"""
    take(project)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "md 40 set()"


def test_nothing_heavy_is_imported():
    code = "import kistack.profiling.assembly, sys; print({'numpy', 'torch', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
