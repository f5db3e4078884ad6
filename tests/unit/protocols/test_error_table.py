"""The table of errors, word by word as PROTOCOL.md §9.1 and §6.4 have it, on both surfaces."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import pytest

from factories.requests import make_request
from longscroll import errors
from longscroll.errors import DocumentErrorKind
from longscroll.protocols.dashscope import errors as native
from longscroll.protocols.openai import errors as compat

INVALID = "invalid_request_error"
PARAMETER = "invalid_parameter_error"


class Row(NamedTuple):
    """One row; ``theirs`` is the native message, ``ours`` the compat one where it differs."""

    error: Exception
    status: int
    code: str
    theirs: str
    compat_code: str
    compat_type: str
    ours: str | None = None


def parameter(error: Exception, words: str) -> Row:
    return Row(error, 400, "InvalidParameter", words, PARAMETER, INVALID)


TABLE = [
    parameter(errors.InvalidParameter("Range of n should be [1, 4]"), "Range of n should be [1, 4]"),
    Row(
        errors.InvalidBody("Required body invalid, please check the request body format."),
        400,
        "InvalidParameter",
        "Required body invalid, please check the request body format.",
        INVALID,
        INVALID,
    ),
    Row(
        errors.MissingModel(),
        400,
        "BadRequest.EmptyModel",
        'Required parameter "model" missing from request.',
        INVALID,
        INVALID,
        "you must provide a model parameter",
    ),
    Row(
        errors.ContentRejected("x"),
        400,
        "DataInspectionFailed",
        "Input or output data may contain inappropriate content.",
        "data_inspection_failed",
        "data_inspection_failed",
    ),
    Row(
        errors.AccountBlocked("x"),
        400,
        "Arrearage",
        "Access denied, please make sure your account is in good standing.",
        "Arrearage",
        "Arrearage",
    ),
    Row(errors.UploadTooLarge("x"), 400, "BadRequest.TooLarge", "Payload Too Large.", "BadRequest.TooLarge", INVALID),
    Row(errors.BodyTooLarge("x"), 413, "BadRequest.TooLarge", "Payload Too Large.", "BadRequest.TooLarge", INVALID),
    Row(
        errors.UnsupportedOperation("x"),
        400,
        "UnsupportedOperation",
        "The operation is unsupported on the referee object.",
        "UnsupportedOperation",
        INVALID,
    ),
    Row(
        errors.TaskNotPending(),
        400,
        "UnsupportedOperation",
        "Failed to cancel the task, please confirm if the task is in PENDING status.",
        "UnsupportedOperation",
        INVALID,
    ),
    Row(errors.InvalidUrl("x"), 400, "InvalidURL", "Invalid URL provided in your request.", "InvalidURL", INVALID),
    Row(
        errors.Unauthenticated("x"),
        401,
        "InvalidApiKey",
        "Invalid API-key provided.",
        "invalid_api_key",
        INVALID,
        "Incorrect API key provided.",
    ),
    Row(errors.AccessDenied("x"), 403, "AccessDenied", "Access denied.", "access_denied", "access_denied"),
    Row(
        errors.AsyncNotSupported("x"),
        403,
        "AccessDenied",
        "Current user api does not support asynchronous calls.",
        "access_denied",
        "access_denied",
    ),
    Row(
        errors.ModelNotEnabled("x"),
        403,
        "AccessDenied.Unpurchased",
        "Access to model denied. Please make sure you are eligible for using the model.",
        "AccessDenied.Unpurchased",
        "AccessDenied.Unpurchased",
    ),
    Row(
        errors.ModelAccessDenied("x"),
        403,
        "Model.AccessDenied",
        "Model access denied.",
        "Model.AccessDenied",
        "Model.AccessDenied",
    ),
    Row(
        errors.WorkspaceDenied("x"),
        403,
        "Workspace.AccessDenied",
        "Workspace access denied.",
        "Workspace.AccessDenied",
        "Workspace.AccessDenied",
    ),
    Row(
        errors.ModelNotFound("qwen-short"),
        404,
        "ModelNotFound",
        "Model can not be found.",
        "model_not_found",
        INVALID,
        "The model `qwen-short` does not exist or you do not have access to it.",
    ),
    Row(
        errors.ModelNotSupported("chatyuan-large-v2"),
        404,
        "ModelNotFound",
        "Model can not be found.",
        "model_not_supported",
        INVALID,
        "Unsupported model chatyuan-large-v2 for OpenAI compatibility mode.",
    ),
    Row(errors.PathNotFound("x"), 404, "NotFound", "Not found!", "not_found", INVALID),
    Row(
        errors.WorkspaceNotFound("x"),
        404,
        "WorkSpaceNotFound",
        "WorkSpace can not be found.",
        "WorkSpaceNotFound",
        INVALID,
    ),
    parameter(errors.MethodNotSupported("GET"), "Request method 'GET' is not supported."),
    Row(
        errors.RequestTimeout("x"),
        408,
        "RequestTimeOut",
        "Request timed out, please try again later.",
        "request_timeout",
        "request_timeout",
    ),
    Row(
        errors.Overloaded("x"),
        429,
        "Throttling",
        "Too many requests in route. Please try again later.",
        "Throttling",
        "Throttling",
    ),
    Row(errors.ConcurrencyExceeded(), 429, "Throttling", "Requests throttling triggered.", "Throttling", "Throttling"),
    Row(
        errors.RequestRateExceeded(),
        429,
        "Throttling.RateQuota",
        "Requests rate limit exceeded, please try again later.",
        "limit_requests",
        "limit_requests",
        "You exceeded your current requests list.",
    ),
    Row(
        errors.TokenRateExceeded(),
        429,
        "Throttling.AllocationQuota",
        "Allocated quota exceeded, please increase your quota limit.",
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    Row(
        errors.BurstExceeded(),
        429,
        "Throttling.BurstRate",
        "Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale "
        "requests more smoothly over time.",
        "limit_burst_rate",
        "limit_burst_rate",
    ),
    Row(
        ValueError("a secret of ours"),
        500,
        "InternalError",
        "An internal error has occured, please try again later or contact service support.",
        "internal_error",
        "internal_error",
    ),
    Row(
        errors.EngineFailed("a secret of ours"),
        500,
        "InternalError.Algo",
        "An internal error has occured during execution, please try again later or contact service support.",
        "internal_error",
        "internal_error",
    ),
    Row(
        errors.ExecutionTimeout("a secret of ours"),
        500,
        "InternalError.Timeout",
        "An internal timeout error has occured during execution, please try again later or contact service support.",
        "internal_error",
        "internal_error",
    ),
    Row(
        errors.EngineTimeout("a secret of ours"),
        500,
        "RequestTimeOut",
        "Request timed out, please try again later.",
        "request_timeout",
        "request_timeout",
    ),
    Row(
        errors.StorageFull("a secret of ours"),
        500,
        "SystemError",
        "An system error has occured, please try again later.",
        "internal_error",
        "internal_error",
    ),
    Row(
        errors.ModelUnavailable("Start it."),
        503,
        "ModelUnavailable",
        "Model is unavailable, please try again later. Start it.",
        "model_unavailable",
        "model_unavailable",
    ),
    Row(
        errors.EngineOverloaded("a secret of ours"),
        503,
        "ModelServingError",
        "Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.",
        "model_serving_error",
        "model_serving_error",
    ),
    parameter(errors.InvalidFile("file-fe-X"), "Invalid file [id:file-fe-X]."),
    parameter(errors.FileGone("file-fe-X"), "File [id:file-fe-X] cannot be found."),
    parameter(errors.FileNotParsed("file-fe-X"), "File parsing in progress, please try again later."),
    *(
        parameter(errors.FileUnreadable("file-fe-X", kind), f"File [id:file-fe-X] {words}")
        for kind, words in {
            DocumentErrorKind.UNSUPPORTED: "format is not supported.",
            DocumentErrorKind.CORRUPT: "parsing error.",
            DocumentErrorKind.ENCRYPTED: "parsing error.",
            DocumentErrorKind.TOO_LARGE: "exceeds size limit.",
            DocumentErrorKind.TOO_MANY_PAGES: "exceeds page limits (15000 pages).",
            DocumentErrorKind.BLANK: "content blank.",
        }.items()
    ),
    parameter(errors.TooManyFiles(), "Too many files provided."),
]

NATIVE_ONLY = [
    (errors.MissingInput(), "BadRequest.EmptyInput", "Required input parameter missing from request."),
    (errors.IllegalInput(), "BadRequest.IllegalInput", "The input parameter requires json format."),
]


@pytest.mark.item(77)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: type(row.error).__name__)
def test_a_row_reads_as_documented_on_both_surfaces(row: Row) -> None:
    request = make_request()
    theirs, ours = native.refuse(request, row.error), compat.refuse(request, row.error)
    body = {"code": row.code, "message": row.theirs, "request_id": request.id}
    assert (theirs.status, msgspec.json.decode(theirs.body)) == (row.status, body)
    found = msgspec.json.decode(ours.body)
    inner = found["error"]
    assert (ours.status, found["request_id"], set(inner)) == (
        row.status,
        request.id,
        {"code", "type", "param", "message"},
    )
    expected = (row.compat_code, row.compat_type, row.ours or row.theirs)
    assert (inner["code"], inner["type"], inner["message"]) == expected


@pytest.mark.item(25, 77)
@pytest.mark.parametrize(("error", "code", "words"), NATIVE_ONLY)
def test_a_row_of_the_native_surface_alone_reads_as_documented(error: Exception, code: str, words: str) -> None:
    reply = native.refuse(make_request(), error)
    body = msgspec.json.decode(reply.body)
    assert (reply.status, body["code"], body["message"]) == (400, code, words)


@pytest.mark.item(78)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: type(row.error).__name__)
def test_who_may_try_again_is_told_when_and_nobody_else(row: Row) -> None:
    may_try = row.status in (429, 503) or isinstance(row.error, errors.FileNotParsed)
    for surface in (native, compat):
        headers = dict(surface.refuse(make_request(), row.error).headers)
        assert (int(headers.get(b"retry-after", 0)) >= 1) == may_try


@pytest.mark.item(77)
def test_every_error_of_the_tree_is_in_the_table_or_stands_for_others() -> None:
    shown = {type(row.error) for row in TABLE} | {type(error) for error, _, _ in NATIVE_ONLY}
    rest = {kind.__name__ for kind in native.ROWS if kind not in shown}
    assert rest == {
        *("LongscrollError", "RequestError", "ConversationError", "EngineError", "LimitExceeded"),  # only their kinds
        *("NotHttp", "HeadTooLarge", "UploadAborted", "FileNotFound", "BatchNotFound", "KeyNotFound"),  # tests/wire
        *("QuotaExceeded", "InputTooLong", "EngineRefused", "DocumentError"),  # the words are the error's own
        *("FreeTierExhausted", "ArtifactError", "ConnectionCut"),  # a script's wish, and our own damage
    }
