"""How the native surface says no: one row per class of error (PROTOCOL.md §3.5, §9.1).

A test walks the tree of errors and fails on a class without a row.
"""

from __future__ import annotations

from msgspec import Struct

from longscroll import errors
from longscroll.protocols.dashscope.schema import ErrorBody
from longscroll.protocols.encoding import INVALID_BODY, encode
from longscroll.protocols.exchange import Reply, Request
from longscroll.protocols.refusals import BURST, FREE_TIER, REJECTED, THROTTLED, find_row, refusal, words_of


class Row(Struct, frozen=True):
    """Status, code and words of one class of error; ``message`` None: the error's own."""

    status: int
    code: str
    message: str | None = None
    retry_after_s: int | None = None


_PARAMETER = Row(400, "InvalidParameter")
_TOO_LARGE = "Payload Too Large."
_INTERNAL = Row(
    500, "InternalError", "An internal error has occured, please try again later or contact service support."
)
_ALGORITHM = Row(
    500,
    "InternalError.Algo",
    "An internal error has occured during execution, please try again later or contact service support.",
)


ROWS: dict[type[Exception], Row] = {
    errors.LongscrollError: _INTERNAL,
    errors.RequestError: _PARAMETER,
    errors.NotHttp: Row(400, "InvalidParameter", "Invalid HTTP request received."),
    errors.HeadTooLarge: Row(431, "BadRequest.TooLarge", "Request Header Fields Too Large."),
    errors.RequestTimeout: Row(408, "RequestTimeOut", "Request timed out, please try again later."),
    errors.InvalidBody: _PARAMETER,
    errors.InvalidParameter: _PARAMETER,
    errors.MissingModel: Row(400, "BadRequest.EmptyModel", 'Required parameter "model" missing from request.'),
    errors.MissingInput: Row(400, "BadRequest.EmptyInput", "Required input parameter missing from request."),
    errors.IllegalInput: Row(400, "BadRequest.IllegalInput", "The input parameter requires json format."),
    errors.BodyTooLarge: Row(413, "BadRequest.TooLarge", _TOO_LARGE),
    errors.UploadTooLarge: Row(400, "BadRequest.TooLarge", _TOO_LARGE),
    errors.UploadAborted: Row(400, "InvalidParameter", INVALID_BODY),
    errors.Unauthenticated: Row(401, "InvalidApiKey", "Invalid API-key provided."),
    errors.AccessDenied: Row(403, "AccessDenied", "Access denied."),
    errors.ModelAccessDenied: Row(403, "Model.AccessDenied", "Model access denied."),
    errors.ModelNotEnabled: Row(
        403,
        "AccessDenied.Unpurchased",
        "Access to model denied. Please make sure you are eligible for using the model.",
    ),
    errors.WorkspaceDenied: Row(403, "Workspace.AccessDenied", "Workspace access denied."),
    errors.FreeTierExhausted: Row(403, "AllocationQuota.FreeTierOnly", FREE_TIER),
    errors.AsyncNotSupported: Row(403, "AccessDenied", "Current user api does not support asynchronous calls."),
    errors.UnsupportedOperation: Row(
        400, "UnsupportedOperation", "The operation is unsupported on the referee object."
    ),
    errors.TaskNotPending: Row(400, "UnsupportedOperation"),
    errors.InvalidUrl: Row(400, "InvalidURL", "Invalid URL provided in your request."),
    errors.ContentRejected: Row(400, "DataInspectionFailed", REJECTED),
    errors.AccountBlocked: Row(400, "Arrearage", "Access denied, please make sure your account is in good standing."),
    errors.QuotaExceeded: _PARAMETER,
    errors.ModelNotFound: Row(404, "ModelNotFound", "Model can not be found."),
    errors.ModelNotSupported: Row(404, "ModelNotFound", "Model can not be found."),
    errors.WorkspaceNotFound: Row(404, "WorkSpaceNotFound", "WorkSpace can not be found."),
    errors.BatchNotFound: Row(404, "NotFound"),
    errors.KeyNotFound: Row(404, "NotFound"),
    errors.PathNotFound: Row(404, "NotFound", "Not found!"),
    errors.MethodNotSupported: _PARAMETER,
    errors.FileNotFound: Row(400, "InvalidParameter", "File not found."),
    errors.LimitExceeded: Row(429, "Throttling", THROTTLED, retry_after_s=1),
    errors.RequestRateExceeded: Row(
        429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later.", retry_after_s=1
    ),
    errors.TokenRateExceeded: Row(
        429,
        "Throttling.AllocationQuota",
        "Allocated quota exceeded, please increase your quota limit.",
        retry_after_s=1,
    ),
    errors.BurstExceeded: Row(429, "Throttling.BurstRate", BURST, retry_after_s=1),
    errors.ConcurrencyExceeded: Row(429, "Throttling", THROTTLED, retry_after_s=1),
    errors.ConversationError: _PARAMETER,
    errors.InvalidFile: _PARAMETER,
    errors.FileGone: _PARAMETER,
    errors.FileNotParsed: Row(400, "InvalidParameter", retry_after_s=2),
    errors.FileUnreadable: _PARAMETER,
    errors.TooManyFiles: _PARAMETER,
    errors.InputTooLong: _PARAMETER,
    errors.DocumentError: _PARAMETER,
    errors.ArtifactError: _INTERNAL,
    errors.EngineError: _ALGORITHM,
    errors.ModelUnavailable: Row(503, "ModelUnavailable", retry_after_s=5),
    errors.EngineFailed: _ALGORITHM,
    errors.EngineTimeout: Row(500, "RequestTimeOut", "Request timed out, please try again later."),
    errors.ExecutionTimeout: Row(
        500,
        "InternalError.Timeout",
        "An internal timeout error has occured during execution, please try again later or contact service support.",
    ),
    errors.EngineRefused: _PARAMETER,
    errors.EngineOverloaded: Row(
        503,
        "ModelServingError",
        "Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.",
        retry_after_s=1,
    ),
    errors.ConnectionCut: _INTERNAL,
    errors.Overloaded: Row(429, "Throttling", "Too many requests in route. Please try again later.", retry_after_s=1),
    errors.StorageFull: Row(500, "SystemError", "An system error has occured, please try again later."),
}


def refuse(request: Request, error: Exception) -> Reply:
    """Return the response for an error before the first byte of an answer."""
    row = row_of(error)
    return refusal(error, _body(request, error), status=row.status, retry_after_s=row.retry_after_s)


def error_frame(request: Request, error: Exception, *, number: int) -> bytes:
    """Return the frame that ends a stream; the ``status`` line tells old clients the true number (§3.5)."""
    return b"id:%d\nevent:error\n:HTTP_STATUS/%d\nstatus:%d\ndata:%b\n\n" % (
        number,
        row_of(error).status,
        row_of(error).status,
        encode(_body(request, error)),
    )


def row_of(error: Exception) -> Row:
    """Return the row of the nearest class that has one."""
    return find_row(ROWS, error)


def message_of(error: Exception) -> str:
    """Return the words of an error on this surface."""
    return words_of(error, row_of(error).message)


def _body(request: Request, error: Exception) -> ErrorBody:
    return ErrorBody(row_of(error).code, message_of(error), request.id)
