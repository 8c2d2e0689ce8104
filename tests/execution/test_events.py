import dataclasses
import json
import math
import multiprocessing
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kistack.execution.events import (
    EVENTS,
    EventLog,
    EventReader,
    LogLine,
    Progress,
    RunFinished,
    RunStarted,
    StepDone,
    StepFailure,
    StepReused,
    StepStarted,
    Warned,
    from_line,
    read_events,
    to_line,
)

DATA = Path(__file__).parent / "data"

EXAMPLES = [
    RunStarted(run="r", total=2, uses=("a/b", "c/d"), time=1.5),
    StepStarted(key="k", use="a/b", index=1, total=2, predicted={"seconds": 2.0}, auto=True, purpose="source"),
    Progress(key="k", done=1, total=2, unit="batches", numbers={"loss": 0.5}),
    LogLine(key="k", message="a\nb ü"),
    StepDone(key="k", use="a/b", measured={"seconds": 1.0}, outputs={"model": "d"}),
    StepReused(key="k", use="a/b", index=2, total=2),
    StepFailure(key="k", use="a/b", error="e", hint="h", status="cancelled"),
    Warned(message="w"),
    RunFinished(run="r", status="failed", seconds=2.0, error="e", hint="h"),
]


def test_every_event_reads_back():
    assert {type(e) for e in EXAMPLES} == set(EVENTS.values())
    for event in EXAMPLES:
        line = to_line(event)
        assert line.count("\n") == 1
        assert from_line(line) == event
        assert json.loads(line)["schema"] == 1


def test_a_file_kept_from_the_first_schema_is_read():
    lines = (DATA / "events-v1.jsonl").read_text().splitlines()
    assert [from_line(line) for line in lines] == [dataclasses.replace(e, time=1.5) for e in EXAMPLES]


def test_numbers_that_are_none_are_still_json():
    line = to_line(Progress(key="k", done=1, total=2, numbers={"loss": math.nan, "rate": math.inf}))
    assert json.loads(line)["numbers"] == {"loss": None, "rate": None}


def test_what_is_unknown_is_passed_over():
    assert from_line('{"schema": 9, "event": "teleported", "time": 1}') is None
    assert from_line('{"event": "warning", "time": 1.0, "message": "m", "new": 1}') == Warned(message="m", time=1.0)
    assert from_line('{"event": "warning", "time": 1.0}') is None
    for torn in ('{"event": "warn', "", "3", "null", "[]"):
        assert from_line(torn) is None


def test_a_torn_last_line_waits_and_is_not_glued_to_the_next(tmp_path):
    path = tmp_path / "events.jsonl"
    log, reader = EventLog(path), EventReader(path)
    assert reader.read() == []
    assert log.write(EXAMPLES[0])
    line = to_line(EXAMPLES[7])
    with path.open("a") as file:
        file.write(line[:10])
    assert reader.read() == EXAMPLES[:1]
    assert reader.read() == []
    with path.open("a") as file:
        file.write(line[10:])
    assert reader.read() == [EXAMPLES[7]]
    with path.open("a") as file:
        file.write(line[:10])
    log.write(EXAMPLES[3])
    assert reader.read() == [EXAMPLES[3]]
    assert read_events(path) == [EXAMPLES[0], EXAMPLES[7], EXAMPLES[3]]


def test_a_reader_may_begin_at_the_end(tmp_path):
    log = EventLog(tmp_path / "e")
    log.write(EXAMPLES[0])
    reader = EventReader(tmp_path / "e")
    reader.skip()
    log.write(EXAMPLES[7])
    assert reader.read() == [EXAMPLES[7]]


def test_a_disk_that_refuses_does_not_raise(tmp_path):
    assert not EventLog(tmp_path / "nowhere" / "e").write(EXAMPLES[0])
    assert not EventLog(Path("/dev/full")).write(EXAMPLES[0])


def _write_many(path, name):
    log = EventLog(path)
    for number in range(100):
        log.write(LogLine(key=name, message=f"{number} " + "x" * 500))


def test_two_writers_do_not_mix_their_lines(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(tmp_path / "e", n)) for n in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    found = read_events(tmp_path / "e")
    for name in "ab":
        assert [int(e.message.split()[0]) for e in found if e.key == name] == list(range(100))


@given(st.text(), st.dictionaries(st.text(max_size=5), st.floats(), max_size=3))
def test_any_text_and_number_makes_one_line(text, numbers):
    event = Progress(key=text, done=1.0, total=2.0, unit=text, numbers=numbers)
    line = to_line(event)
    assert len(line.splitlines()) >= 1
    back = from_line(line)
    assert back.unit == text
    assert back.numbers == {n: (v if math.isfinite(v) else None) for n, v in numbers.items()}
