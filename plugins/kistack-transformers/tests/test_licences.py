from __future__ import annotations

import pytest
from kistack_transformers import licences

from kistack.errors import ModelError


@pytest.mark.parametrize(
    ("front", "expected"),
    [
        ("license: apache-2.0", "Apache-2.0"),
        ("license: mit\nlanguage: en", "MIT"),
        ("license: other\nlicense_name: llama3", "llama3"),
        ("license: other", "other"),
        ("license:\n- mit\n- apache-2.0", "MIT OR Apache-2.0"),
        ("language: en", ""),
        ("[1, 2", ""),
        ("- a", ""),
    ],
)
def test_model_cards(tmp_path, front, expected):
    (tmp_path / "README.md").write_text(f"---\n{front}\n---\n# model\nlicense: gpl\n")
    assert licences.of_card(tmp_path) == expected


def test_a_card_without_front_matter_states_nothing(tmp_path):
    assert licences.of_card(tmp_path) == ""
    (tmp_path / "README.md").write_text("# model\nlicense: mit\n")
    assert licences.of_card(tmp_path) == ""


def test_texts(tmp_path):
    assert licences.text_in(tmp_path) == ""
    assert licences.text_in(tmp_path / "none") == ""
    (tmp_path / "LICENSE.txt").write_text("Do what you like.")
    assert licences.text_in(tmp_path) == "Do what you like."
    assert "Apache License" in licences.shipped("Apache-2.0")
    assert licences.shipped("MIT") == ""  # it names its holder, so it cannot be supplied


def test_an_installed_distribution():
    identifier, text = licences.of_distribution("pytest")
    assert identifier == "MIT"
    assert "Permission is hereby granted" in text
    with pytest.raises(ModelError, match="not installed"):
        licences.of_distribution("no_such_module_here")


def test_a_module_named_unlike_its_distribution():
    assert licences.of_distribution("yaml")[0] == "MIT"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Knowledge cutoff: December 2023.", "2023-12"),
        ("| **Knowledge cutoff** | March, 2023 | and | March 2024", "2024-03"),
        ("Cutting Knowledge Date: December 2023\nToday", "2023-12"),
        ("knowledge cut-off is 2024-06-30", "2024-06"),
        ("**Data Freshness** The pretraining data has a cutoff of September 2022, but", "2022-09"),
        ("a static model trained on an offline dataset with cutoff dates of June 2024 and earlier", "2024-06"),
        ("Your knowledge base was last updated on 2023-10-01.", "2023-10"),
        ("data of many kinds. The cutoff of the score was set in May 2024", ""),
        ("trained in May 2024", ""),
        ("Knowledge cutoff\nMay 2024", ""),
        ("", ""),
    ],
)
def test_cutoffs(text, expected):
    assert licences.cutoff("nothing here", text) == expected
