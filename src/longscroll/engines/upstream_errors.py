"""What a model server's refusals mean to us: status and body → one class of the EngineError tree.

Only the message of a refused request is handed on, because the client's own request is to blame for it. Everything
else gets our words: the rest of what servers say names their hosts, organizations and keys.
"""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from longscroll.errors import (
    EngineError,
    EngineFailed,
    EngineOverloaded,
    EngineRefused,
    EngineTimeout,
    ModelUnavailable,
)

MAX_MESSAGE_CHARS = 600
MAX_RETRY_AFTER_S = 3600

_REFUSED = {400, 413, 422}
_KEY_REFUSED = {401, 403}
_TIMED_OUT = {408, 504}
_NOT_READY = {502, 503}
_OVERLOADED = {429, 529}  # 529: "site is overloaded", of some hosted models
# "<400> InternalError.Algo.InvalidParameter: …": recorded from DashScope's model layer (PROTOCOL.md §9.1).
_PREFIX = re.compile(r"^(?:<\d{3}>\s*)?(?:InternalError\.Algo(?:\.\w+)*:\s*)?")
_CLIENT_FAULT = re.compile(r"context|invalid|bad_?request", re.IGNORECASE)


def error_of_response(status: int, body: bytes, *, retry_after: str | None = None) -> EngineError:
    """Translate an answer that is not 200; ``body`` may be JSON in any of the known shapes, HTML or nothing."""
    return _translated(status, _message_in(_decoded(body)), retry_after_s=_seconds(retry_after))


def error_in_stream(error: object) -> EngineError:
    """Translate an error object that came after a 200; where it names no status, its type or code must tell."""
    return _translated(_status_in(error), _message_in({"error": error}), retry_after_s=1)


def cut_stream() -> EngineFailed:
    """Make the error of a stream that ended without a ``finish_reason`` and without ``[DONE]``."""
    return EngineFailed("The model server broke off before the end of the answer.")


def no_completion() -> EngineFailed:
    """Make the error of a 200 whose body is neither chunks nor a completion, such as a web page."""
    return EngineFailed("The model server sent something that is no chat completion.")


def _translated(status: int, message: str | None, *, retry_after_s: int) -> EngineError:
    if status in _REFUSED:
        return EngineRefused(message or f"The model server refused the request (HTTP {status}).")
    if status in _KEY_REFUSED:
        return EngineFailed("The model server refused the key of this service; its operator must set a valid one.")
    if status == 404:
        return ModelUnavailable(
            "The model server has no such model, or its address is wrong: check served_name and urls."
        )
    if status in _TIMED_OUT:
        return EngineTimeout("The model server did not answer in time.")
    if status in _OVERLOADED:
        return EngineOverloaded("The model server is overloaded.", retry_after_s=retry_after_s)
    if status in _NOT_READY:
        return ModelUnavailable("The model server is not ready.")
    if 300 <= status < 400:
        return EngineFailed("The model server answered with a redirect; set its final address in urls.")
    return EngineFailed(f"The model server failed (HTTP {status}).")


def _decoded(body: bytes) -> object:
    try:
        decoded: object = msgspec.json.decode(body)
    except msgspec.MsgspecError:
        return None
    return decoded


def _message_in(body: object) -> str | None:
    """Find the sentence in ``{"error": {"message"}}``, ``{"error": "…"}``, ``{"message"}`` or FastAPI's ``detail``."""
    if not isinstance(body, dict):
        return None
    error = body.get("error")
    candidates = [error.get("message") if isinstance(error, dict) else error, body.get("message")]
    candidates.append(_details(body.get("detail")))
    message = next((candidate for candidate in candidates if isinstance(candidate, str) and candidate), None)
    return _cleaned(message) if message else None


def _details(detail: object) -> object:
    """Name the fields of FastAPI's list of errors; their ``input`` would repeat the whole prompt."""
    if not isinstance(detail, list):
        return detail
    errors = [error for error in detail if isinstance(error, dict)]
    return "; ".join(f"{'.'.join(map(str, error.get('loc', ())))}: {error.get('msg', '')}" for error in errors)


def _cleaned(message: str) -> str:
    message = _PREFIX.sub("", " ".join(message.split()), count=1)
    return message if len(message) <= MAX_MESSAGE_CHARS else message[: MAX_MESSAGE_CHARS - 1] + "…"


def _status_in(error: object) -> int:
    if not isinstance(error, dict):
        return 500
    for name in ("code", "status", "status_code"):
        status = _as_status(error.get(name))
        if status is not None:
            return status
    is_refusal = any(_CLIENT_FAULT.search(str(error.get(name) or "")) for name in ("type", "code"))
    return 400 if is_refusal else 500


def _as_status(value: Any) -> int | None:
    try:
        status = int(value)
    except (TypeError, ValueError):
        return None
    return status if 400 <= status < 600 else None


def _seconds(retry_after: str | None) -> int:
    """Read ``Retry-After`` in seconds; a date, or nothing, is one second."""
    try:
        wish = float(retry_after or 1)
    except ValueError:
        return 1
    return max(1, min(math.ceil(wish), MAX_RETRY_AFTER_S)) if math.isfinite(wish) else 1
