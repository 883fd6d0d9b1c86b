"""Errors of the Hub's client: which are temporary, and messages for the others, without the token."""

import re
from typing import Any

_ADVICE = {
    400: "the Hub did not understand the request",
    401: "the Hub does not accept your token; log in again: hf auth login",
    403: "your token may not write to {repo}; make one that may: https://hf.co/settings/tokens",
    404: "the Hub knows no {repo}, or not for you",
    409: "the Hub reports a conflict over {repo}; run it again",
    412: "{repo} was changed by somebody else meanwhile; look at it, and run it again",
    413: "a file is too large for the Hub",
    429: "the Hub wants a pause; wait some minutes, and run it again: what is uploaded stays",
}
_NO_ROOM = re.compile(r"storage|quota|billing|payment|subscription|upgrade|paid plan", re.IGNORECASE)
_NO_ROOM_ADVICE = "the Hub has no room left for {repo}; delete something there, or take a larger plan"
_ABOUT_ROOM = {402, 403, 413, 507}
_MAX_CHARS = 600
_PASSING = {408, 425, 429, 500, 502, 503, 504}


def client_errors() -> tuple[type[Exception], ...]:
    """All exception types that a call of the client can raise.

    The HTTP library differs between supported versions, and failed uploads of files raise RuntimeError.
    """
    return (_http_library().HTTPError, OSError, ValueError, RuntimeError)


def is_passing(error: Exception) -> bool:
    """Whether a retry makes sense: the Hub is busy, or the connection was lost."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    cause, status = _cause(error), status_of(error)
    if status is not None:
        return status in _PASSING
    if isinstance(cause, OfflineModeIsEnabled):
        return False
    return isinstance(cause, (_http_library().TransportError, ConnectionError, TimeoutError))


def status_of(error: Exception) -> int | None:
    """The HTTP status behind an error; None if no answer came."""
    status = getattr(getattr(_cause(error), "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def in_words(error: Exception, repo: str, token: str) -> str:
    """One line that says what to do."""
    status, detail = status_of(error), _reason(_cause(error)).replace(token, "***")[:_MAX_CHARS]
    if status is not None:
        advice = _ADVICE.get(status, "the Hub failed; run it again: what is uploaded stays")
        if status in _ABOUT_ROOM and (status == 402 or _NO_ROOM.search(detail)):
            advice = _NO_ROOM_ADVICE
        return f"{advice.format(repo=repo)} ({status}: {detail})"
    if is_passing(error):
        return f"the Hub cannot be reached ({detail}); run it again: what is uploaded stays"
    return f"the push to {repo} failed: {detail}"


def _reason(cause: BaseException) -> str:
    """All that is said about a failure, in one line: what the server says, else what the client says."""
    said = getattr(cause, "server_message", None) or str(cause)
    lines = [line.strip().removeprefix("- ") for line in said.splitlines() if line.strip()]
    return "; ".join(lines) or type(cause).__name__


def _cause(error: BaseException) -> BaseException:
    """The cause of an upload's RuntimeError."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _http_library() -> Any:  # noqa: ANN401  a module
    """The client's HTTP library: httpx2 since huggingface_hub 2, httpx before."""
    from huggingface_hub.utils import _http

    return getattr(_http, "httpx2", None) or _http.httpx  # type: ignore[attr-defined]
