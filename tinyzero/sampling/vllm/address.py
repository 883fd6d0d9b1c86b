"""JSON over HTTP to one address: time limits, a few tries where trying helps, no proxies and no redirects."""

import http.client
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from tinyzero.errors import SamplerBroken
from tinyzero.foreign import BadContent, parse_json_object

_QUESTION_S = 30.0
"""For an answer that is there already."""
_WAITS_S = (0.5, 2.0, 8.0)
"""Before the second, third and fourth try: a server that restarts needs longer, and should be noticed."""


class Refused(Exception):
    """The server answered, and the answer is no.

    Attributes:
        status: of HTTP. reason: what the server says.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status, self.reason = status, reason


class Unreachable(SamplerBroken):
    """Nothing answered, or not in time; `what` says so without a remedy."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what


class Address:
    """A server. Several threads may ask it at once."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        key: str | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Contacts nothing.

        Args:
            key: sent as a bearer token.
            pause: waits some seconds.
        """
        self._url, self._timeout_s, self._pause = url.rstrip("/"), timeout_s, pause
        self._headers = {"Content-Type": "application/json"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        self._opener = build_opener(ProxyHandler({}), _NoRedirects)

    def __str__(self) -> str:
        return self._url

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object there, {} where there is none. Raises Refused and Unreachable."""
        return self._ask(path, None, min(_QUESTION_S, self._timeout_s))

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer's JSON object, {} where it is none. Raises Refused and Unreachable."""
        return self._ask(path, json.dumps(body).encode(), self._timeout_s)

    def _ask(self, path: str, body: bytes | None, timeout_s: float) -> dict[str, Any]:
        """Ask, and again where there was no connection, one was lost, or the server has trouble itself."""
        for wait_s in (*_WAITS_S, None):
            try:
                return self._try(path, body, timeout_s)
            except TimeoutError as error:
                raise Unreachable(
                    f"the vLLM at {self} did not answer {path} in {timeout_s:g} s",
                    "lower sampling.batch_rows",
                ) from error
            except (OSError, http.client.HTTPException) as error:
                if wait_s is None:
                    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
                    raise Unreachable(
                        f"no vLLM answers at {self} ({reason})", "start it again, and go on with --resume"
                    ) from error
            except Refused as error:
                if wait_s is None or error.status < http.client.INTERNAL_SERVER_ERROR:
                    raise
            self._pause(wait_s)
        raise AssertionError  # the last try returns or raises

    def _try(self, path: str, body: bytes | None, timeout_s: float) -> dict[str, Any]:
        request = Request(self._url + path, data=body, headers=self._headers)  # noqa: S310  http or https
        try:
            with self._opener.open(request, timeout=timeout_s) as answer:
                return _as_object(answer.read())
        except HTTPError as error:
            with error:
                raise Refused(error.code, _reason(error)) from error
        except URLError as error:  # while connecting
            raise error.reason if isinstance(error.reason, OSError) else error from error


class _NoRedirects(HTTPRedirectHandler):
    """A prompt, or the key, goes where the configuration says or nowhere."""

    def redirect_request(self, *_: object) -> None:
        return None


def _reason(error: HTTPError) -> str:
    """VLLM's errors are `{"error": {"message": ...}}`."""
    said = _as_object(error.read()).get("error")
    message = said.get("message") if isinstance(said, dict) else None
    return (str(message or error.reason).strip().splitlines() or [""])[0].rstrip(".")


def _as_object(content: bytes) -> dict[str, Any]:
    try:
        return parse_json_object(content)
    except BadContent:
        return {}
