"""Every error that crosses a room, in one tree.

    LongscrollError
    ├── RequestError                what the client sent cannot be served
    │   ├── NotHttp                 bytes that are no HTTP request
    │   ├── HeadTooLarge            request line and headers over the limit
    │   ├── RequestTimeout          the rest of a request did not come
    │   ├── InvalidBody             not JSON, or not an object
    │   ├── InvalidParameter        a field is missing, of the wrong type or out of range
    │   │   ├── MissingModel
    │   │   ├── MissingInput
    │   │   └── IllegalInput
    │   ├── BodyTooLarge            a JSON body over the limit
    │   ├── UploadTooLarge          an uploaded file over the limit
    │   ├── UploadAborted           the client hung up inside an upload
    │   ├── Unauthenticated         no key, or not a key of ours
    │   ├── AccessDenied            the key lacks the right
    │   │   ├── ModelAccessDenied   the key is for other models
    │   │   ├── ModelNotEnabled     the workspace is for other models
    │   │   ├── WorkspaceDenied     the key is for other workspaces
    │   │   └── FreeTierExhausted
    │   ├── AsyncNotSupported
    │   ├── UnsupportedOperation
    │   │   └── TaskNotPending      a task that cannot be canceled
    │   ├── InvalidUrl              an address in the request cannot be used
    │   ├── ContentRejected         by a check of what is said
    │   ├── AccountBlocked
    │   ├── QuotaExceeded           too many files, or too many bytes, in the workspace
    │   ├── ModelNotFound
    │   ├── ModelNotSupported       a native-only model on the compat surface
    │   ├── WorkspaceNotFound
    │   ├── KeyNotFound             at the endpoints and commands for keys
    │   ├── BatchNotFound           at the endpoints for batches
    │   ├── PathNotFound
    │   ├── MethodNotSupported
    │   └── FileNotFound            at the file endpoints
    ├── LimitExceeded               the workspace asks more than it may; ``retry_after_s`` says when it may again
    │   ├── RequestRateExceeded     requests per minute
    │   ├── TokenRateExceeded       tokens per minute
    │   ├── BurstExceeded           too many more than a moment ago
    │   └── ConcurrencyExceeded     requests at once
    ├── ConversationError           the documents of a conversation cannot be read
    │   ├── InvalidFile             unknown, malformed or foreign id
    │   ├── FileGone                deleted while in use
    │   ├── FileNotParsed           still being parsed when the wait ended
    │   ├── FileUnreadable          parsing ended in a DocumentError (carries its kind)
    │   ├── TooManyFiles
    │   └── InputTooLong
    ├── DocumentError               bytes that do not become a document; ``kind`` says why
    ├── ArtifactError               a stored document is damaged, cut short or of an unknown version
    ├── EngineError
    │   ├── ModelUnavailable        weights missing, loading, or the upstream cannot be reached
    │   ├── EngineFailed            the engine broke while it wrote
    │   ├── EngineTimeout           the engine was silent
    │   ├── ExecutionTimeout        the engine was given up while it worked
    │   ├── EngineRefused           the upstream said that the request itself is wrong
    │   └── EngineOverloaded        ask again later
    ├── ConnectionCut               the client is to see its connection break
    ├── Overloaded                  a queue of ours is full
    ├── StorageFull                 no space left on the device
    └── StartupError                the command cannot begin: configuration, port, lock
        └── ConfigError

A class knows domain facts only; each surface owns the table that turns it into a status, a code and words.
"""

from __future__ import annotations

from enum import StrEnum


class LongscrollError(Exception):
    """The root. ``str()`` of any of these is one sentence that is fit for a user."""

    words: str | None = None  # said in place of a surface's own words; a script may wish so
    retry_after_s: int | None = None  # when to try again; None: as a surface has it


class RequestError(LongscrollError):
    """What the client sent cannot be served."""


class NotHttp(RequestError):
    """Bytes that are no HTTP request."""


class HeadTooLarge(RequestError):
    """Request line and headers over the limit."""


class RequestTimeout(RequestError):
    """The rest of a request did not come in time."""


class InvalidBody(RequestError):
    """The body is not JSON, or not a JSON object."""


class InvalidParameter(RequestError):
    """A field is missing, of the wrong type or out of range; ``param`` names it where one field is to blame."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class MissingModel(InvalidParameter):
    """No ``model`` in the request."""

    def __init__(self) -> None:
        super().__init__("you must provide a model parameter", param="model")


class MissingInput(InvalidParameter):
    """No ``input`` in a native request."""

    def __init__(self) -> None:
        super().__init__("Required input parameter missing from request.", param="input")


class IllegalInput(InvalidParameter):
    """``input`` of a native request is not an object."""

    def __init__(self) -> None:
        super().__init__("The input parameter requires json format.", param="input")


class BodyTooLarge(RequestError):
    """A JSON body over the limit."""


class UploadTooLarge(RequestError):
    """An uploaded file over the limit."""


class UploadAborted(RequestError):
    """The client hung up, or the form broke off, inside an upload."""


class Unauthenticated(RequestError):
    """No key, or not a key of ours."""


class AccessDenied(RequestError):
    """The key lacks the right."""


class ModelAccessDenied(AccessDenied):
    """The key may use other models only."""


class ModelNotEnabled(AccessDenied):
    """The workspace may use other models only."""


class WorkspaceDenied(AccessDenied):
    """The key does not open the workspace that the request names."""


class FreeTierExhausted(AccessDenied):
    """What was free of the model is used up."""


class AsyncNotSupported(RequestError):
    """An asynchronous task was asked of a service that has none."""


class UnsupportedOperation(RequestError):
    """The operation does not exist for this object."""


class TaskNotPending(UnsupportedOperation):
    """There is no pending task of that id; nothing here makes one."""

    def __init__(self) -> None:
        super().__init__("Failed to cancel the task, please confirm if the task is in PENDING status.")


class InvalidUrl(RequestError):
    """An address in the request is none, or may not be fetched."""


class ContentRejected(RequestError):
    """A check of what is said, in the question or in the answer, does not let it pass."""


class AccountBlocked(RequestError):
    """Nothing is served to this account now."""


class QuotaExceeded(RequestError):
    """The workspace may not hold more files, or more bytes."""


class ModelNotFound(RequestError):
    """No model of that name is configured."""

    def __init__(self, model: str) -> None:
        super().__init__(f"The model `{model}` does not exist or you do not have access to it.")
        self.model = model


class ModelNotSupported(RequestError):
    """The model is served on the other surface only."""

    def __init__(self, model: str) -> None:
        super().__init__(f"Unsupported model {model} for OpenAI compatibility mode.")
        self.model = model


class WorkspaceNotFound(RequestError):
    """No workspace of that name; one that the key does not open is indistinguishable from a missing one."""


class BatchNotFound(RequestError):
    """No such batch in the caller's workspace; a foreign batch is indistinguishable from a missing one."""

    def __init__(self, batch_id: str) -> None:
        super().__init__(f"No batch found with id '{batch_id}'.")
        self.batch_id = batch_id


class KeyNotFound(RequestError):
    """No such key where the caller may see keys; a foreign key is indistinguishable from a missing one."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"No such key: {key_id}")
        self.key_id = key_id


class PathNotFound(RequestError):
    """Nothing is served at this path."""


class MethodNotSupported(RequestError):
    """The path is served, the method is not."""

    def __init__(self, method: str) -> None:
        super().__init__(f"Request method '{method}' is not supported.")
        self.method = method


class FileNotFound(RequestError):
    """No such file in the caller's workspace; a foreign file is indistinguishable from a missing one."""

    def __init__(self, file_id: str) -> None:
        super().__init__(f"No such File object: {file_id}")
        self.file_id = file_id


class LimitExceeded(LongscrollError):
    """The workspace asks more of a model than its limits allow; ``retry_after_s`` is when it may again, from 1."""

    def __init__(self, message: str = "Requests throttling triggered.", *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RequestRateExceeded(LimitExceeded):
    """Too many requests in a minute."""


class TokenRateExceeded(LimitExceeded):
    """Too many tokens in a minute."""


class BurstExceeded(LimitExceeded):
    """Many more requests than a moment ago."""


class ConcurrencyExceeded(LimitExceeded):
    """Too many requests at once."""


class ConversationError(LongscrollError):
    """The documents of a conversation cannot be read."""


class InvalidFile(ConversationError):
    """Unknown, malformed or foreign id in a conversation."""

    def __init__(self, file_id: str) -> None:
        super().__init__(f"Invalid file [id:{file_id}].")
        self.file_id = file_id


class FileGone(ConversationError):
    """The file was deleted while the conversation waited for it."""

    def __init__(self, file_id: str) -> None:
        super().__init__(f"File [id:{file_id}] cannot be found.")
        self.file_id = file_id


class FileNotParsed(ConversationError):
    """The wait ended before the parse did."""

    def __init__(self, file_id: str) -> None:
        super().__init__("File parsing in progress, please try again later.")
        self.file_id = file_id


class DocumentErrorKind(StrEnum):
    """Why bytes did not become a document; stored with the file, so values never change."""

    UNSUPPORTED = "unsupported"
    ENCRYPTED = "encrypted"
    CORRUPT = "corrupt"
    TOO_LARGE = "too_large"
    TOO_MANY_PAGES = "too_many_pages"
    BLANK = "blank"
    TIMEOUT = "timeout"


class DocumentError(LongscrollError):
    """Bytes that do not become a document; the message is the sentence for ``status_details``."""

    def __init__(self, kind: DocumentErrorKind, details: str) -> None:
        super().__init__(details)
        self.kind = kind


class ArtifactError(LongscrollError):
    """A stored document is damaged, cut short or of a version that this program does not read."""


class FileUnreadable(ConversationError):
    """A file of the conversation ended in a DocumentError."""

    def __init__(self, file_id: str, kind: DocumentErrorKind) -> None:
        super().__init__(f"File [id:{file_id}] {UNREADABLE_WORDS[kind]}")
        self.file_id = file_id
        self.kind = kind


UNREADABLE_WORDS = {
    DocumentErrorKind.UNSUPPORTED: "format is not supported.",
    DocumentErrorKind.ENCRYPTED: "parsing error.",
    DocumentErrorKind.CORRUPT: "parsing error.",
    DocumentErrorKind.TOO_LARGE: "exceeds size limit.",
    DocumentErrorKind.TOO_MANY_PAGES: "exceeds page limits (15000 pages).",
    DocumentErrorKind.BLANK: "content blank.",
    DocumentErrorKind.TIMEOUT: "parsing error.",
}
"""The end of the sentence a chat answers for a file that ended in an error (PROTOCOL.md §6.4)."""


class TooManyFiles(ConversationError):
    """More file ids than one request may name."""

    def __init__(self) -> None:
        super().__init__("Too many files provided.")


class InputTooLong(ConversationError):
    """The documents, or one inline document, are over the limit; the message has the documented words."""


class EngineError(LongscrollError):
    """The engine cannot write the answer."""


class ModelUnavailable(EngineError):
    """Weights missing, loading, or the upstream cannot be reached; the message ends in what to do."""

    def __init__(self, hint: str = "") -> None:
        super().__init__(f"Model is unavailable, please try again later. {hint}".rstrip())


class EngineFailed(EngineError):
    """The engine broke while it wrote."""


class EngineTimeout(EngineError):
    """The engine was silent for too long."""


class ExecutionTimeout(EngineError):
    """The engine was given up while it worked."""


class EngineRefused(EngineError):
    """The upstream said that the request itself is wrong; the message is its own."""


class EngineOverloaded(EngineError):
    """The engine sheds load; ``retry_after_s`` is its own wish where it had one."""

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ConnectionCut(LongscrollError):
    """The client is to see its connection break, with no word about it; only a script wishes so."""


class Overloaded(LongscrollError):
    """A queue of ours is full."""


class StorageFull(LongscrollError):
    """No space left on the device."""


class StartupError(LongscrollError):
    """The command cannot begin; the message says what to do."""


class ConfigError(StartupError):
    """An option is unknown or has a value that cannot be used."""
