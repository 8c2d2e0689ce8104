import pytest
from kistack_mlflow import sending
from kistack_mlflow.settings import Tracking

from kistack.errors import StoreError


def fake(monkeypatch, code):
    monkeypatch.setattr(sending, "_START", code)


def test_the_address_is_not_in_the_list_of_processes(monkeypatch, tmp_path):
    seen = tmp_path / "seen"
    fake(monkeypatch, f"import sys, os; open({str(seen)!r}, 'w').write(repr(sys.argv) + os.environ['DO_NOT_TRACK'])")
    sending.send(Tracking(uri="http://me:secret@host", experiment="x"), tmp_path, "desk")
    assert "true" in seen.read_text()
    assert "secret" not in seen.read_text()


def test_a_store_that_hangs_is_given_up(monkeypatch, tmp_path):
    fake(monkeypatch, "import time; time.sleep(60)")
    with pytest.raises(StoreError, match=r"store http://host did not answer within 200ms") as caught:
        sending.send(Tracking(uri="http://me:secret@host", timeout="200ms"), tmp_path, "desk")
    assert "timeout" in caught.value.hint


def test_the_last_line_of_what_went_wrong_is_told_without_passwords(monkeypatch, tmp_path):
    fake(monkeypatch, "import sys; print('noise', file=sys.stderr); sys.exit('no http://me:secret@host\\n\\n')")
    with pytest.raises(StoreError, match=r"was not written: no http://host$"):
        sending.send(Tracking(uri="file:///x"), tmp_path, "desk")
    fake(monkeypatch, "import os; os._exit(3)")
    with pytest.raises(StoreError, match="exit code 3"):
        sending.send(Tracking(uri="file:///x"), tmp_path, "desk")
