"""A client of OpenAI-compatible chat endpoints: one request, one text, and what went wrong in words."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any

from kistack.domain.prompt import Message
from kistack.errors import StepFailed

#: Answers after which another try may succeed: too many requests, and a server's own troubles.
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
#: Longest wait between two tries that a server may ask for, in seconds.
_LONGEST_WAIT = 30.0
#: Bytes of a reply that are read at most; more is no chat.
_MOST_BYTES = 4 << 20


class RequestFailed(Exception):
    """A request got no answer, after every try that made sense."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses to be sent elsewhere: the key and the texts are meant for the named address only."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        return None


@dataclass(frozen=True, slots=True)
class ChatEndpoint:
    """An endpoint such as ``http://localhost:8080/v1``; ``key`` is sent as a bearer token where it is not empty."""

    url: str
    model: str
    key: str = ""
    timeout: float = 60.0
    tries: int = 4
    pause: float = 1.0
    sleep: Callable[[float], None] = time.sleep

    def ask(self, messages: Sequence[Message], *, max_tokens: int) -> str:
        """The text of the first choice, at temperature 0.

        Raises:
            StepFailed: the endpoint refuses for a reason that holds for every request: no such address or model, no
                permission.
            RequestFailed: this request got no text after all tries.
        """
        body = {"model": self.model, "messages": list(messages), "temperature": 0, "max_tokens": max_tokens}
        why = ""
        for number in range(self.tries):
            try:
                return _text_of(self._post(body))
            except urllib.error.HTTPError as error:
                error.close()  # it holds the connection
                why = f"HTTP {error.code} {error.reason}"
                if error.code not in _PASSING:
                    raise _refusal(self.url, error) from error
                wait = _asked_wait(error)
            except (OSError, http.client.HTTPException, ValueError) as error:
                why, wait = str(getattr(error, "reason", error)) or type(error).__name__, 0.0
            if number + 1 < self.tries:
                self.sleep(max(wait, self.pause * 2**number))
        raise RequestFailed(f"{self.url} gave no answer in {self.tries} tries ({why})")

    def _post(self, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "kistack"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        address = f"{self.url.rstrip('/')}/chat/completions"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)  # noqa: S310 - http(s), checked
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=self.timeout) as reply:
            return json.loads(reply.read(_MOST_BYTES))


def check_url(url: str) -> str:
    """``url`` if it is one of http or https with a host.

    Raises:
        ValueError: it is not, or it carries a password.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is no http or https address; write for instance http://localhost:8080/v1")
    if parts.password is not None:
        raise ValueError("an address must not carry a password; name the variable that holds the key in key_variable")
    return url


def _text_of(document: Any) -> str:
    try:
        text = document["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"the reply has no choices[0].message.content ({error!r})") from error
    if not isinstance(text, str):
        raise ValueError("the reply's content is no text")  # noqa: TRY004 - a bad reply like the others
    return text


def _asked_wait(error: urllib.error.HTTPError) -> float:
    """Seconds of the header Retry-After; 0 where it gives none, or a date."""
    text = error.headers.get("Retry-After", "") if error.headers is not None else ""
    return min(float(text), _LONGEST_WAIT) if text.isdigit() else 0.0


def _refusal(url: str, error: urllib.error.HTTPError) -> StepFailed:
    remedies = {
        401: "name the variable that holds the key in key_variable",
        403: "use a key that may use this model",
        404: "check endpoint (it ends before /chat/completions) and model",
    }
    moved = 300 <= error.code < 400  # noqa: PLR2004 - the class of redirections
    hint = "name the address it moved to" if moved else remedies.get(error.code, "check endpoint and model")
    return StepFailed(f"{url} refuses the request: HTTP {error.code} {error.reason}", hint)
