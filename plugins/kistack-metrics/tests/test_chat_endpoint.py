import pytest
from kistack_metrics.chat_endpoint import ChatEndpoint, RequestFailed, check_url

from kistack.errors import StepFailed

ASKED = [{"role": "user", "content": "Is it right?"}]


def client(url, **settings):
    waits = []
    return ChatEndpoint(url, "small", sleep=waits.append, **settings), waits


def test_a_text_comes_back_and_the_request_is_as_such_endpoints_want_it(endpoint):
    server = endpoint(lambda _: "CORRECT")
    asking, waits = client(server.url, key="secret")
    assert asking.ask(ASKED, max_tokens=8) == "CORRECT"
    assert server.asked == [
        ("/v1/chat/completions", {"model": "small", "messages": ASKED, "temperature": 0, "max_tokens": 8})
    ]
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert waits == []


def test_without_a_key_none_is_sent(endpoint):
    server = endpoint(lambda _: "yes")
    client(server.url + "/")[0].ask(ASKED, max_tokens=8)
    assert "Authorization" not in server.headers[0]
    assert server.asked[0][0] == "/v1/chat/completions"


def test_what_passes_is_tried_again_with_growing_waits(endpoint):
    replies = iter([503, 429, "fine"])
    asking, waits = client(endpoint(lambda _: next(replies)).url)
    assert asking.ask(ASKED, max_tokens=8) == "fine"
    assert waits == [1.0, 2.0]


def test_a_server_may_ask_for_a_longer_wait_up_to_a_bound(endpoint):
    replies = iter([429, 429, "fine"])
    server = endpoint(lambda _: next(replies))
    server.extra = {"Retry-After": "7"}
    asking, waits = client(server.url)
    asking.ask(ASKED, max_tokens=8)
    assert waits == [7.0, 7.0]
    replies = iter([429, "fine"])
    server.extra = {"Retry-After": "100000"}
    asking, waits = client(server.url)
    asking.ask(ASKED, max_tokens=8)
    assert waits == [30.0]


@pytest.mark.parametrize("reply", [500, b"no json", b"[]", {"choices": []}, {"choices": [{"message": {"content": 3}}]}])
def test_a_request_without_a_text_fails_after_its_tries(endpoint, reply):
    server = endpoint(lambda _: reply)
    asking, waits = client(server.url, tries=2)
    with pytest.raises(RequestFailed, match="in 2 tries"):
        asking.ask(ASKED, max_tokens=8)
    assert len(server.asked) == 2
    assert len(waits) == 1


@pytest.mark.parametrize(("status", "hint"), [(401, "key_variable"), (404, "/chat/completions"), (400, "check")])
def test_a_refusal_is_not_tried_again(endpoint, status, hint):
    server = endpoint(lambda _: status)
    with pytest.raises(StepFailed, match=str(status)) as caught:
        client(server.url)[0].ask(ASKED, max_tokens=8)
    assert hint in caught.value.hint
    assert len(server.asked) == 1


def test_it_does_not_follow_to_another_address_with_the_key(endpoint):
    other = endpoint(lambda _: "CORRECT")
    server = endpoint(lambda _: 307)
    server.extra = {"Location": other.url + "/chat/completions"}
    with pytest.raises(StepFailed, match="307") as caught:
        client(server.url, key="secret")[0].ask(ASKED, max_tokens=8)
    assert "moved" in caught.value.hint
    assert other.asked == []


def test_nobody_there_fails_with_the_reason(endpoint):
    server = endpoint(lambda _: "x")
    url = server.url
    server.server.server_close()
    with pytest.raises(RequestFailed, match="gave no answer"):
        client(url, tries=1, timeout=2)[0].ask(ASKED, max_tokens=8)


@pytest.mark.parametrize("url", ["", "localhost:8080", "file:///etc/passwd", "ftp://x/y", "http://", "http://u:p@h/v1"])
def test_addresses_that_are_none_are_refused(url):
    with pytest.raises(ValueError, match="address"):
        check_url(url)


def test_addresses_that_are_some_are_kept():
    assert check_url("https://example.org/v1") == "https://example.org/v1"
