"""Lines of a batch: read, answered as a live request would be, written down."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
from msgspec.structs import replace

from factories.access import make_administration
from factories.answers import ScriptedAnswers, finish
from factories.batches import make_batch, make_batch_service, make_line
from factories.storage import NOON
from factories.vectors import make_vector_service
from factories.wire import KEY, NARROW_KEY, PRINCIPALS, READER_KEY, authenticate, make_catalog
from longscroll.access.base import Principal
from longscroll.access.limits import LimitOptions, Limits
from longscroll.errors import (
    InvalidBody,
    InvalidParameter,
    InvalidUrl,
    LongscrollError,
    MissingModel,
    ModelNotFound,
    ModelUnavailable,
    StorageFull,
    Unauthenticated,
)
from longscroll.protocols.openai.batch_lines import BatchLines
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.routes import Services, line_routes
from longscroll.services.files import FileService
from longscroll.services.usage import UsageReports
from longscroll.storage.memory import MemoryUsage
from longscroll.tokens import EstimatedCounter

REQUEST_ID = "77c1a4c1-6d1f-5f0e-9a55-2f9a2f1f9c10"


def make_lines(*, key: str = KEY, answers: Any = None, limits: Limits | None = None) -> BatchLines:
    """Return lines that scripted answers answer; every key id is that of ``key``, an empty one nobody's."""
    catalog, files = make_catalog(), cast("FileService", None)
    services = Services(
        authenticate=authenticate,
        answer=(answers or ScriptedAnswers()).answer,
        files=files,
        batches=make_batch_service(files),
        catalog=catalog,
        keys=make_administration(),
        usage=UsageReports(MemoryUsage(), clock=lambda: NOON),
        vectors=make_vector_service(catalog),
        counter=EstimatedCounter(),
        limits=limits or Limits(),
    )

    async def find_caller(_workspace: str, _key_id: str) -> Principal:
        if not key:
            raise Unauthenticated("It is revoked.")
        return PRINCIPALS[key]

    options = ProtocolOptions()
    return BatchLines(line_routes(services, options), catalog, find_caller, options=options, clock=lambda: NOON)


def text_of(**fields: Any) -> bytes:
    return json.dumps(make_line(**fields)).encode()


async def answered(lines: BatchLines, **fields: Any) -> dict[str, Any]:
    """Return the record of a line."""
    reply = await lines.answer(make_batch(), lines.read(text_of(**fields)), REQUEST_ID)
    record: dict[str, Any] = json.loads(reply.record)
    assert record["response"]["status_code"] == reply.status
    return record


def with_body(**fields: Any) -> dict[str, Any]:
    return {"body": make_line()["body"] | fields}


def test_a_line_is_a_request_that_is_not_streamed() -> None:
    line = make_lines().read(text_of(**with_body(stream=True, stream_options={"include_usage": True}, top_p=0.5)))
    assert (line.custom_id, line.endpoint, line.model) == ("a", "/v1/chat/completions", "qwen-long")
    assert json.loads(line.body) == make_line()["body"] | {"top_p": 0.5}


@pytest.mark.parametrize(
    ("text", "error", "param"),
    [
        (b"no json", InvalidBody, None),
        (b"[]", InvalidBody, None),
        (text_of(custom_id=""), InvalidParameter, "custom_id"),
        (b'{"custom_id": 7}', InvalidParameter, "custom_id"),
        (text_of(method="GET"), InvalidParameter, "method"),
        (text_of(url="/v1/files"), InvalidUrl, None),
        (text_of(url=None), InvalidUrl, None),
        (text_of(body=None), InvalidParameter, "body"),
        (text_of(body=[]), InvalidParameter, "body"),
        (text_of(body={}), MissingModel, "model"),
        (text_of(body={"model": 7}), MissingModel, "model"),
        (text_of(body={"model": " "}), MissingModel, "model"),
    ],
)
def test_what_is_no_request_is_refused_by_name(text: bytes, error: type[LongscrollError], param: str | None) -> None:
    with pytest.raises(error) as refusal:
        make_lines().read(text)
    assert getattr(refusal.value, "param", None) == param


@pytest.mark.parametrize(
    ("model", "error"),
    [("nobody", ModelNotFound), ("chatyuan-large-v2", ModelUnavailable)],
)
def test_a_model_that_would_not_answer_is_found_out(model: str, error: type[LongscrollError]) -> None:
    lines = make_lines()
    with pytest.raises(error):
        lines.check_model(lines.read(text_of(**with_body(model=model))))


@pytest.mark.item(116)
async def test_an_answer_stands_in_a_record_as_it_would_have_been_sent() -> None:
    record = await answered(make_lines(), custom_id="q\u20281")
    body = record["response"].pop("body")
    assert record == {
        "id": REQUEST_ID,
        "custom_id": "q\u20281",
        "response": {"status_code": 200, "request_id": REQUEST_ID},
        "error": None,
    }
    assert (body["id"], body["choices"][0]["message"]["content"]) == (f"chatcmpl-{REQUEST_ID}", "你好")


async def test_a_record_is_one_line_for_every_reader() -> None:
    lines = make_lines()
    reply = await lines.answer(make_batch(), lines.read(text_of(question="separators", custom_id="\u2028")), REQUEST_ID)
    assert len(reply.record.decode().splitlines()) == 1


async def test_a_line_is_asked_with_the_key_of_its_batch_and_no_limit_counts_it() -> None:
    answers = ScriptedAnswers()
    limits = Limits([LimitOptions(requests_per_minute=1)])
    lines = make_lines(answers=answers, limits=limits)
    assert [(await answered(lines))["response"]["status_code"] for _ in range(3)] == [200] * 3
    asked = answers.requests[0]
    assert (asked.workspace, asked.key_id, asked.request_id) == ("acme", "key-1", REQUEST_ID)
    assert (asked.is_exempt, asked.is_streamed, asked.surface) == (True, False, "openai")


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [("", 401, "invalid_api_key"), (READER_KEY, 403, "access_denied"), (NARROW_KEY, 403, "Model.AccessDenied")],
)
async def test_what_the_key_may_not_is_the_refusal_that_a_request_gets(key: str, status: int, code: str) -> None:
    record = await answered(make_lines(key=key))
    assert (record["response"]["status_code"], record["response"]["body"]["error"]["code"]) == (status, code)
    assert record["error"] is None


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        (with_body(messages=[]), 400, "invalid_parameter_error"),
        (with_body(temperature=9), 400, "invalid_parameter_error"),
        ({"question": "bad file"}, 400, "invalid_parameter_error"),
        ({"question": "no weights"}, 503, "model_unavailable"),
        ({"question": "bug"}, 500, "internal_error"),
    ],
)
async def test_an_error_stands_in_a_record_as_it_would_have_been_sent(
    fields: dict[str, Any], status: int, code: str
) -> None:
    response = (await answered(make_lines(), **fields))["response"]
    assert (response["status_code"], response["body"]["error"]["code"]) == (status, code)
    assert response["body"]["request_id"] == REQUEST_ID
    assert "a secret of ours" not in json.dumps(response)


async def test_a_full_disk_is_no_reply() -> None:
    class Full(ScriptedAnswers):
        async def answer(self, request: Any) -> Any:
            yield finish(1)
            raise StorageFull("No space is left.")

    with pytest.raises(StorageFull):
        await answered(make_lines(answers=Full()))


async def test_a_line_that_is_given_up_stops_its_answer() -> None:
    answers = ScriptedAnswers()
    asking = asyncio.create_task(answered(make_lines(answers=answers), question="hang"))
    while not answers.requests:
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    assert (asking.cancelled(), answers.n_cancelled) == (True, 1)


def test_a_line_that_was_not_asked_says_why() -> None:
    lines = make_lines()
    record = json.loads(lines.skip(lines.read(text_of()), REQUEST_ID, "batch_expired"))
    assert (record["id"], record["custom_id"], record["response"]) == (REQUEST_ID, "a", None)
    assert record["error"]["code"] == "batch_expired"


async def test_vectors_are_asked_for_by_line_too() -> None:
    lines = make_lines()
    line = replace(lines.read(text_of(url="/v1/embeddings")), model="nobody")
    with pytest.raises(ModelNotFound):
        lines.check_model(line)
