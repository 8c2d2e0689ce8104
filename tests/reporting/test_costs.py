from kistack.advisor.bench.costs import score_costs
from kistack.advisor.bench.rows import Case, Row
from kistack.reporting.blocks import Bullets, Table
from kistack.reporting.costs import costs_page


def rows(*conditions):
    return [
        Row(kind=kind, model="Llama-2-7B", hardware=h, config=c, measured=m, unit=u) for kind, h, c, m, u in conditions
    ]


def test_wrong_verdicts_and_rows_left_out_are_named():
    easy = Case(
        kind="peak_mem", model="SmolLM2-135M", hardware="A100", config="bf16", measured="derived", source="a lie"
    )  # fmt: skip
    given = rows(("peak_mem", "A100", "bf16", 5, "GB"), ("latency", "A100", "bf16", 5, "s"))
    page = costs_page(score_costs(given, [easy]))
    told = [item for block in page if isinstance(block, Bullets) for item in block.items]
    assert any("called fitting: SmolLM2-135M" in item for item in told)
    assert any("refused: Llama-2-7B" in item for item in told)
    assert any(item.startswith("latency") and "no work" in item for item in told)


def test_kinds_without_rows_are_left_out_of_the_summary():
    page = costs_page(score_costs(rows(("file_size", "any", "bf16", 13.5, "GB")), []))
    summary, table = (block for block in page if isinstance(block, Table))
    assert [row[0] for row in summary.rows] == ["file_size (file_size)"]
    assert table.rows[0][3] == "13.5 GB"
