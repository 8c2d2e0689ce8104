import json

import pytest

from kistack.cli import main
from kistack.cli.output import out

FILE = """\
measured:
- {kind: file_size, model: Llama-3.1-8B, config: Q4_K_M, measured: 4.58, unit: GiB}
- {kind: decode, model: Llama-2-7B, hardware: A100, config: bf16, measured: 105, unit: tokens/s}
- {kind: peak_mem, model: Llama-2-7B, hardware: A100, config: bf16, measured: 13.9, unit: GB}
- {kind: file_size, model: Nobody-7B, config: Q8_0, measured: 7, unit: GB}
"""


@pytest.fixture
def bench(tmp_path, capsys):
    path = tmp_path / "costs.yaml"
    path.write_text(FILE, encoding="utf-8")

    def call(*arguments):
        code = main.run(["bench", "costs", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield path, call
    out.quiet = out.debug = out.strict = False


def test_the_page_tells_errors_rows_and_what_is_left_out(bench):
    path, call = bench
    code, text, _ = call(path)
    assert code == 0
    assert "0 false verdicts on fitting" in text
    assert "Nobody-7B" in text.partition("Not scored")[2]
    assert "4.92 GB" in text


def test_json_is_one_document(bench):
    path, call = bench
    code, text, _ = call(path, "--json")
    document = json.loads(text)
    assert code == 0
    assert {"schema", "rows", "file_size", "peak_memory", "decode", "false_fits"} <= document.keys()
    assert [r["scored"] for r in document["rows"]] == [True, True, True, False]


def test_a_missing_file_is_wrong_input(bench):
    path, call = bench
    code, _, error = call(path.with_name("none.yaml"))
    assert code == 2
    assert "none.yaml" in error
    assert "hint:" in error
