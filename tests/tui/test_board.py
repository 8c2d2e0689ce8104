from kistack.tui.board import (
    COLUMNS,
    COSTS,
    TOGGLES,
    cells,
    dots,
    fitting,
    moved,
    rejecting,
    rows,
    toggled,
    toggling,
    verdict,
    with_techniques,
)  # fmt: skip
from kistack.tui.stating import adopt


def test_there_is_one_row_for_each_combination_the_best_first(opened):
    found = rows(opened.bench.judgement, opened.bench)
    assert len(found) == 16
    assert len({r.techniques for r in found}) == 16
    assert found[0].best
    assert found[0].candidate is opened.bench.judgement.best.candidate
    assert sum(r.best for r in found) == 1
    assert sum(r.settings for r in found) == len(opened.bench.judgement.order)


def test_rejected_rows_come_last_and_name_the_limit(opened):
    adopt(opened, {"limits.training_time": "3s"})
    found = rows(opened.bench.judgement, opened.bench)
    kept = [r.candidate.kept for r in found]
    assert kept == sorted(kept, reverse=True)
    assert verdict(found[-1]).startswith("✗ training time")
    assert dict(rejecting(opened.bench.judgement))["training time"] > 1


def test_time_to_fresh_leaves_out_what_reads_neither_documents_nor_pairs(opened):
    found = {r.name: r for r in rows(opened.bench.judgement, opened.bench)}
    assert found["nothing"].fresh == 0
    assert found["quantize"].fresh == 0
    assert found["retrieve"].fresh == 1.0
    assert found["retrieve+tune"].fresh > found["retrieve"].fresh


def test_toggling_says_what_it_changes(opened):
    found = rows(opened.bench.judgement, opened.bench)
    plain = with_techniques(found, frozenset())
    tuned = with_techniques(found, toggled(plain, "t"))
    assert tuned.techniques == {"tune"}
    assert toggling(plain, "t", tuned).startswith("with tune: ")
    assert toggling(tuned, "t", plain).startswith("without tune: ")
    assert "+5 s to build" in moved(plain, tuned)
    assert "-5 s to build" in moved(tuned, plain)
    assert "no stage" in toggling(plain, "t", None)


def test_toggling_twice_comes_back(opened):
    for row in rows(opened.bench.judgement, opened.bench):
        for letter in TOGGLES:
            other = with_techniques(rows(opened.bench.judgement, opened.bench), toggled(row, letter))
            assert toggled(other, letter) == row.techniques


def test_cells_fit_their_columns_and_the_least_needed_go_first(opened):
    found = rows(opened.bench.judgement, opened.bench)
    assert all(len(cells(r)) == len(COLUMNS) for r in found)
    assert fitting(found, 500) == list(range(len(COLUMNS)))
    few = [COLUMNS[n] for n in fitting(found, 76)]
    assert "bundle" not in few
    assert few[-1] == "verdict"


def test_the_front_of_a_plot_only_rises(opened):
    for cost in range(len(COSTS)):
        found = dots(opened.bench.judgement, cost)
        costs, points = zip(*found.front, strict=True)
        assert list(costs) == sorted(costs)
        assert list(points) == sorted(points)
        assert max(q for _, q in found.kept) == points[-1]
        assert found.best in found.kept
