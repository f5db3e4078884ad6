"""Faults by name: what a script, or the header of a request, wishes to go wrong, and when.

Owns the names, which are the codes that clients see on either surface, and the class of error behind each; a test walks
both surfaces' tables and fails on a code that has no name here. Knows no surface: how an error reads is decided there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from msgspec import Struct

from longscroll import errors
from longscroll.errors import LongscrollError

CUT, SILENCE, SLOW = "cut", "silence", "slow"
"""What no error says: the connection breaks, nothing more comes, and nothing but waiting."""

_WORDS = "A script wishes this fault."
_PARAMETER = "Required parameter(s) missing or invalid, please check the request parameters."
_BODY = "Required body invalid, please check the request body format."

Make = Callable[[str], LongscrollError]
"""Makes the error; is given what the request was about: a model or a file."""


def _plain(kind: Callable[[str], LongscrollError], words: str = _WORDS) -> Make:
    return lambda _subject: kind(words)


def _wordless(kind: Callable[[], LongscrollError]) -> Make:
    return lambda _subject: kind()


_ROWS: tuple[tuple[tuple[str, ...], Make], ...] = (
    (("InvalidParameter", "invalid_parameter_error"), _plain(errors.InvalidParameter, _PARAMETER)),
    (("invalid_request_error",), _plain(errors.InvalidBody, _BODY)),
    (("BadRequest.EmptyInput",), _wordless(errors.MissingInput)),
    (("BadRequest.EmptyModel",), _wordless(errors.MissingModel)),
    (("BadRequest.IllegalInput",), _wordless(errors.IllegalInput)),
    (("BadRequest.TooLarge",), _plain(errors.UploadTooLarge)),
    (("413 BadRequest.TooLarge",), _plain(errors.BodyTooLarge)),
    (("431 BadRequest.TooLarge",), _plain(errors.HeadTooLarge)),
    (("DataInspectionFailed", "data_inspection_failed"), _plain(errors.ContentRejected)),
    (("Arrearage",), _plain(errors.AccountBlocked)),
    (("UnsupportedOperation",), _plain(errors.UnsupportedOperation)),
    (("InvalidURL",), _plain(errors.InvalidUrl)),
    (("InvalidApiKey", "invalid_api_key"), _plain(errors.Unauthenticated)),
    (("AccessDenied", "access_denied"), _plain(errors.AccessDenied)),
    (("AccessDenied.Unpurchased",), _plain(errors.ModelNotEnabled)),
    (("Model.AccessDenied",), _plain(errors.ModelAccessDenied)),
    (("Workspace.AccessDenied",), _plain(errors.WorkspaceDenied)),
    (("AllocationQuota.FreeTierOnly",), _plain(errors.FreeTierExhausted)),
    (("ModelNotFound", "model_not_found"), errors.ModelNotFound),
    (("model_not_supported",), errors.ModelNotSupported),
    (("file_not_found",), errors.FileNotFound),
    (("key_not_found",), errors.KeyNotFound),
    (("batch_not_found",), errors.BatchNotFound),
    (("NotFound", "not_found"), _plain(errors.PathNotFound)),
    (("WorkSpaceNotFound",), _plain(errors.WorkspaceNotFound)),
    (("408 RequestTimeOut", "408 request_timeout"), _plain(errors.RequestTimeout)),
    (("Throttling",), _wordless(errors.LimitExceeded)),
    (("Throttling.RateQuota", "limit_requests"), _wordless(errors.RequestRateExceeded)),
    (("Throttling.AllocationQuota", "insufficient_quota"), _wordless(errors.TokenRateExceeded)),
    (("Throttling.BurstRate", "limit_burst_rate"), _wordless(errors.BurstExceeded)),
    (("InternalError", "internal_error"), _plain(LongscrollError)),
    (("InternalError.Algo",), _plain(errors.EngineFailed)),
    (("InternalError.Timeout",), _plain(errors.ExecutionTimeout)),
    (("RequestTimeOut", "request_timeout"), _plain(errors.EngineTimeout)),
    (("SystemError",), _plain(errors.StorageFull)),
    (("ModelUnavailable", "model_unavailable"), _wordless(errors.ModelUnavailable)),
    (("ModelServingError", "model_serving_error"), _plain(errors.EngineOverloaded)),
)
"""A code that two statuses share has its less usual one in front of it."""

_MAKES: dict[str, Make] = {name: make for names, make in _ROWS for name in names}
_MAKES[CUT] = _plain(errors.ConnectionCut)

NAMES: tuple[str, ...] = (*_MAKES, SILENCE, SLOW)
"""Everything that ``error`` of a fault may be."""

Sleep = Callable[[float], Awaitable[None]]


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong with an answer, and after how many of its deltas."""

    error: str  # one of NAMES
    after: int = 0  # deltas
    delay_s: float = 0.0  # and so long after them
    message: str = ""  # in place of the words that go with the code
    retry_after_s: int | None = None  # in place of the seconds that go with it

    def __post_init__(self) -> None:
        if self.error not in NAMES:
            raise ValueError(f"error must be a code of the table of errors, cut, silence or slow, got {self.error!r}")
        if self.after < 0 or self.delay_s < 0:
            raise ValueError("after and delay_s must not be negative")
        if self.retry_after_s is not None and self.retry_after_s < 1:
            raise ValueError(f"retry_after_s must be at least 1, got {self.retry_after_s}")

    @property
    def is_error(self) -> bool:
        """Whether it ends the answer; the other faults only keep it waiting."""
        return self.error in _MAKES

    async def strike(self, *, subject: str = "unknown", sleep: Sleep = asyncio.sleep) -> None:
        """Go wrong now; returns when nothing but the delay was asked for.

        Args:
            subject: the model or file that the request was about, for words that name it.
            sleep: waits out the delay.

        Raises:
            LongscrollError: the error of that name.
        """
        if self.delay_s > 0:
            await sleep(self.delay_s)
        if self.error == SILENCE:
            await asyncio.Event().wait()
        if self.is_error:
            raise self._make(subject)

    def _make(self, subject: str) -> LongscrollError:
        error = _MAKES[self.error](subject)
        error.words = self.message or None
        if self.retry_after_s is not None:
            error.retry_after_s = self.retry_after_s
        return error
