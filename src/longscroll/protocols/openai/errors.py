"""How the OpenAI-compatible surface says no: one row per class of error (PROTOCOL.md §4.4, §9.1).

A test walks the tree of errors and fails on a class without a row.
"""

from __future__ import annotations

from msgspec import UNSET, Struct

from longscroll import errors
from longscroll.protocols.encoding import INVALID_BODY, encode
from longscroll.protocols.exchange import Reply, Request
from longscroll.protocols.openai.schema import ErrorBody, ErrorDetails
from longscroll.protocols.refusals import BURST, FREE_TIER, REJECTED, THROTTLED, find_row, refusal, words_of

INVALID = "invalid_request_error"


class Row(Struct, frozen=True):
    """Status, code, type and words of one class of error; ``message`` None: the error's own."""

    status: int
    code: str
    type: str
    message: str | None = None
    param: str | None = None
    retry_after_s: int | None = None


_PARAMETER = Row(400, "invalid_parameter_error", INVALID)
_TOO_LARGE = "Payload Too Large."
_INTERNAL = Row(
    500,
    "internal_error",
    "internal_error",
    "An internal error has occured, please try again later or contact service support.",
)
_ALGORITHM = Row(
    500,
    "internal_error",
    "internal_error",
    "An internal error has occured during execution, please try again later or contact service support.",
)

_THROTTLED = Row(429, "Throttling", "Throttling", THROTTLED, retry_after_s=1)

ROWS: dict[type[Exception], Row] = {
    errors.LongscrollError: _INTERNAL,
    errors.RequestError: Row(400, INVALID, INVALID),
    errors.NotHttp: Row(400, INVALID, INVALID, "Invalid HTTP request received."),
    errors.HeadTooLarge: Row(431, "BadRequest.TooLarge", INVALID, "Request Header Fields Too Large."),
    errors.RequestTimeout: Row(408, "request_timeout", "request_timeout", "Request timed out, please try again later."),
    errors.InvalidBody: Row(400, INVALID, INVALID),
    errors.InvalidParameter: _PARAMETER,
    errors.MissingModel: Row(400, INVALID, INVALID),
    errors.MissingInput: _PARAMETER,
    errors.IllegalInput: _PARAMETER,
    errors.BodyTooLarge: Row(413, "BadRequest.TooLarge", INVALID, _TOO_LARGE),
    errors.UploadTooLarge: Row(400, "BadRequest.TooLarge", INVALID, _TOO_LARGE, param="file"),
    errors.UploadAborted: Row(400, INVALID, INVALID, INVALID_BODY),
    errors.Unauthenticated: Row(401, "invalid_api_key", INVALID, "Incorrect API key provided."),
    errors.AccessDenied: Row(403, "access_denied", "access_denied", "Access denied."),
    errors.ModelAccessDenied: Row(403, "Model.AccessDenied", "Model.AccessDenied", "Model access denied."),
    errors.ModelNotEnabled: Row(
        403,
        "AccessDenied.Unpurchased",
        "AccessDenied.Unpurchased",
        "Access to model denied. Please make sure you are eligible for using the model.",
    ),
    errors.WorkspaceDenied: Row(403, "Workspace.AccessDenied", "Workspace.AccessDenied", "Workspace access denied."),
    errors.FreeTierExhausted: Row(403, "AllocationQuota.FreeTierOnly", "AllocationQuota.FreeTierOnly", FREE_TIER),
    errors.AsyncNotSupported: Row(
        403, "access_denied", "access_denied", "Current user api does not support asynchronous calls."
    ),
    errors.UnsupportedOperation: Row(
        400, "UnsupportedOperation", INVALID, "The operation is unsupported on the referee object."
    ),
    errors.TaskNotPending: Row(400, "UnsupportedOperation", INVALID),
    errors.InvalidUrl: Row(400, "InvalidURL", INVALID, "Invalid URL provided in your request."),
    errors.ContentRejected: Row(400, "data_inspection_failed", "data_inspection_failed", REJECTED),
    errors.AccountBlocked: Row(
        400, "Arrearage", "Arrearage", "Access denied, please make sure your account is in good standing."
    ),
    errors.QuotaExceeded: _PARAMETER,
    errors.ModelNotFound: Row(404, "model_not_found", INVALID, param="model"),
    errors.ModelNotSupported: Row(404, "model_not_supported", INVALID, param="model"),
    errors.WorkspaceNotFound: Row(404, "WorkSpaceNotFound", INVALID, "WorkSpace can not be found."),
    errors.BatchNotFound: Row(404, "batch_not_found", INVALID, param="id"),
    errors.KeyNotFound: Row(404, "key_not_found", INVALID, param="id"),
    errors.PathNotFound: Row(404, "not_found", INVALID, "Not found!"),
    errors.MethodNotSupported: _PARAMETER,
    errors.FileNotFound: Row(404, "file_not_found", INVALID, param="id"),
    errors.LimitExceeded: _THROTTLED,
    errors.RequestRateExceeded: Row(
        429, "limit_requests", "limit_requests", "You exceeded your current requests list.", retry_after_s=1
    ),
    errors.TokenRateExceeded: Row(
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
        retry_after_s=1,
    ),
    errors.BurstExceeded: Row(429, "limit_burst_rate", "limit_burst_rate", BURST, retry_after_s=1),
    errors.ConcurrencyExceeded: _THROTTLED,
    errors.ConversationError: _PARAMETER,
    errors.InvalidFile: _PARAMETER,
    errors.FileGone: _PARAMETER,
    errors.FileNotParsed: Row(400, "invalid_parameter_error", INVALID, retry_after_s=2),
    errors.FileUnreadable: _PARAMETER,
    errors.TooManyFiles: _PARAMETER,
    errors.InputTooLong: _PARAMETER,
    errors.DocumentError: _PARAMETER,
    errors.ArtifactError: _INTERNAL,
    errors.EngineError: _ALGORITHM,
    errors.ModelUnavailable: Row(503, "model_unavailable", "model_unavailable", retry_after_s=5),
    errors.EngineFailed: _ALGORITHM,
    errors.EngineTimeout: Row(500, "request_timeout", "request_timeout", "Request timed out, please try again later."),
    errors.ExecutionTimeout: Row(
        500,
        "internal_error",
        "internal_error",
        "An internal timeout error has occured during execution, please try again later or contact service support.",
    ),
    errors.EngineRefused: _PARAMETER,
    errors.EngineOverloaded: Row(
        503,
        "model_serving_error",
        "model_serving_error",
        "Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.",
        retry_after_s=1,
    ),
    errors.ConnectionCut: _INTERNAL,
    errors.Overloaded: Row(
        429,
        "Throttling",
        "Throttling",
        "Too many requests in route. Please try again later.",
        retry_after_s=1,
    ),
    errors.StorageFull: Row(
        500, "internal_error", "internal_error", "An system error has occured, please try again later."
    ),
}


def refuse(request: Request, error: Exception) -> Reply:
    """Return the response for an error before the first byte of an answer."""
    row = find_row(ROWS, error)
    return refusal(error, error_body(request, error), status=row.status, retry_after_s=row.retry_after_s)


def error_frame(request: Request, error: Exception) -> bytes:
    """Return the frame that ends a stream; no ``event`` line, or openai 1.0.0 takes it for a good end (§4.4)."""
    return b"data: " + encode(error_body(request, error)) + b"\n\n"


def error_body(request: Request, error: Exception) -> ErrorBody:
    """Return the JSON of an error."""
    row = find_row(ROWS, error)
    details = ErrorDetails(
        code=row.code,
        param=getattr(error, "param", None) or row.param,
        message=words_of(error, row.message),
        type=row.type,
    )
    is_chat = request.route is not None and request.route.path.endswith("/chat/completions")
    return ErrorBody(error=details, id=f"chatcmpl-{request.id}" if is_chat else UNSET, request_id=request.id)
