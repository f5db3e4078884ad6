"""The native surface's generation, over a socket: forms of input, formats of output, who wants events."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from factories.wire import FAST, WireService, wire_service
from longscroll.types import Message

GENERATION = "/api/v1/services/aigc/text-generation/generation"
NO_TURN = 'Either "prompt" or "messages" must exist and cannot both be none'
USER = {"role": "user", "content": "你好"}


def generate(service: WireService, *headers: str, path: str = GENERATION, **body: Any) -> tuple[int, dict[str, Any]]:
    fields = {"model": "qwen-long", "input": {"prompt": "你好"}} | body
    present = {name: value for name, value in fields.items() if value is not None}
    reply = service.exchange("POST", path, json.dumps(present).encode(), *headers)
    return reply.status, json.loads(reply.body)


def frames(service: WireService, question: str, **parameters: Any) -> list[dict[str, Any]]:
    body = {"model": "qwen-long", "input": {"prompt": question}, "parameters": parameters}
    reply = service.exchange("POST", GENERATION, json.dumps(body).encode(), "X-DashScope-SSE: enable")
    return [json.loads(frame.split("\ndata:")[1]) for frame in reply.body.decode().split("\n\n")[:-1]]


def asked(service: WireService) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in service.answers.requests[-1].messages]


@pytest.mark.item(20)
@pytest.mark.parametrize("parameters", [None, {}])
def test_parameters_may_be_absent(service: WireService, parameters: dict[str, Any] | None) -> None:
    assert generate(service, parameters=parameters)[0] == 200


@pytest.mark.item(24, 25, 26)
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"input": {"prompt": ""}}, (400, "InvalidParameter", NO_TURN)),
        ({"input": {}}, (400, "InvalidParameter", NO_TURN)),
        ({"input": None}, (400, "BadRequest.EmptyInput", "Required input parameter missing from request.")),
        ({"input": "你好"}, (400, "BadRequest.IllegalInput", "The input parameter requires json format.")),
        ({"model": None}, (400, "BadRequest.EmptyModel", 'Required parameter "model" missing from request.')),
        (
            {"model": "", "input": None},
            (400, "BadRequest.EmptyModel", 'Required parameter "model" missing from request.'),
        ),
        ({"model": "qwen-short", "input": "x"}, (404, "ModelNotFound", "Model can not be found.")),
        (
            {"input": {"messages": [], "prompt": "你好"}},
            (400, "InvalidParameter", "Role must be user or assistant and Content length must be greater than 0"),
        ),
        (
            {"input": {"messages": [{"role": "system", "content": "x"}]}},
            (400, "InvalidParameter", "The input messages do not contain elements with the role of user."),
        ),
        ({"parameters": {"top_p": 1.5}}, (400, "InvalidParameter", "Range of top_p should be (0.0, 1.0]")),
        ({"parameters": {"stop": [1, "a"]}}, (400, "InvalidParameter", None)),
    ],
)
def test_what_cannot_be_served_is_refused_in_the_documented_words(
    service: WireService, body: dict[str, Any], expected: tuple[int, str, str | None]
) -> None:
    fields = {"model": "qwen-long", "input": {"prompt": "你好"}} | body
    present = {name: value for name, value in fields.items() if value is not None}
    reply = service.exchange("POST", GENERATION, json.dumps(present).encode())
    error = json.loads(reply.body)
    assert (reply.status, error["code"], expected[2] and error["message"]) == expected


@pytest.mark.item(27, 28, 29)
@pytest.mark.parametrize(
    ("headers", "media_type"),
    [
        ((), "application/json"),
        (("Accept: */*",), "application/json"),
        (("X-DashScope-SSE: enable", "Accept: */*"), "text/event-stream;charset=UTF-8"),
        (("X-DashScope-SSE: disable",), "application/json"),
        (("Accept: text/event-stream",), "text/event-stream;charset=UTF-8"),
    ],
)
def test_either_header_alone_asks_for_events(service: WireService, headers: tuple[str, ...], media_type: str) -> None:
    body = json.dumps({"model": "qwen-long", "input": {"prompt": "你好"}, "parameters": {"stream": True}})
    assert service.exchange("POST", GENERATION, body.encode(), *headers).headers["content-type"] == media_type


@pytest.mark.item(36)
@pytest.mark.parametrize(
    ("model", "result_format", "expected"),
    [
        ("qwen-long", None, "choices"),
        ("qwen-long-latest", None, "choices"),
        ("other-model", None, "text"),
        ("qwen-long", "text", "text"),
        ("other-model", "message", "choices"),
    ],
)
def test_the_format_is_as_asked_or_as_the_model_has_it(
    service: WireService, model: str, result_format: str | None, expected: str
) -> None:
    _, body = generate(service, model=model, parameters={"result_format": result_format})
    assert {"text", "choices"} & set(body["output"]) == {expected}


@pytest.mark.item(37)
def test_a_prompt_beside_messages_is_the_last_turn(service: WireService) -> None:
    generate(service, input={"messages": [USER, {"role": "bot", "content": "b"}], "prompt": "c"})
    assert asked(service) == [("user", "你好"), ("assistant", "b"), ("user", "c")]


@pytest.mark.item(38)
def test_a_history_comes_before_the_prompt(service: WireService) -> None:
    generate(service, input={"history": [{"user": "a", "bot": "b"}, {"user": "c", "bot": "d"}], "prompt": "e"})
    assert asked(service) == [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e")]


@pytest.mark.item(99)
def test_parts_without_a_type_are_text(service: WireService) -> None:
    generate(service, input={"messages": [{"role": "user", "content": [{"text": "你"}, {"text": "好"}]}]})
    assert service.answers.requests[-1].messages == (Message(role="user", content="你好"),)


@pytest.mark.item(32, 33, 34)
@pytest.mark.parametrize("question", ["你好", "cited", "long"])
def test_cumulative_frames_extend_one_another(service: WireService, question: str) -> None:
    got = frames(service, question, result_format="text")
    texts = [frame["output"]["text"] for frame in got]
    counts = [frame["usage"]["output_tokens"] for frame in got]
    _, whole = generate(service, input={"prompt": question}, parameters={"result_format": "text"})
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    assert (texts[-1], counts[-1]) == (whole["output"]["text"], whole["usage"]["output_tokens"])
    assert counts == sorted(counts)
    assert [frame["output"]["finish_reason"] for frame in got] == ["null"] * (len(got) - 1) + ["stop"]


@pytest.mark.item(34)
def test_incremental_frames_are_the_answer_in_pieces(service: WireService) -> None:
    texts = [
        frame["output"]["text"] for frame in frames(service, "你好", result_format="text", incremental_output=True)
    ]
    assert texts == ["你", "好", ""]


@pytest.mark.item(120)
def test_annotations_are_new_or_all_as_the_text_is(service: WireService) -> None:
    def numbers(**parameters: Any) -> list[int]:
        got = frames(service, "cited", **parameters)
        return [len(frame["output"]["choices"][0]["message"].get("annotations", ())) for frame in got]

    assert numbers(incremental_output=True) == [0, 1, 0, 0]
    assert numbers() == [0, 1, 1, 1]


def test_the_text_format_has_its_annotations_beside_the_text(service: WireService) -> None:
    _, body = generate(service, input={"prompt": "cited"}, parameters={"result_format": "text"})
    assert body["output"]["annotations"][0]["file_citation"]["pages"] == [2]


@pytest.mark.item(44)
def test_the_usage_of_chatyuan_can_be_left_out() -> None:
    catalog_name = "chatyuan-large-v2"
    with wire_service(msgspec.structs.replace(FAST, chatyuan_usage=False)) as service:
        assert "usage" not in generate(service, model=catalog_name)[1]
        assert "usage" in generate(service, model="other-model")[1]


def test_the_multimodal_path_answers_too(service: WireService) -> None:
    path = "/api/v1/services/aigc/multimodal-generation/generation"
    assert generate(service, path=path)[0] == 200


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_multimodal_conversation_in_parts_is_answered_in_parts(service: WireService, *, is_streamed: bool) -> None:
    path = "/api/v1/services/aigc/multimodal-generation/generation"
    messages = [{"role": "user", "content": [{"text": "hi"}]}]
    body = {"model": "qwen-long", "input": {"messages": messages}, "parameters": {"incremental_output": True}}
    headers = ("X-DashScope-SSE: enable",) if is_streamed else ()
    reply = service.exchange("POST", path, json.dumps(body).encode(), *headers)
    replies = (
        [line[5:] for line in reply.body.split(b"\n") if line.startswith(b"data:")] if is_streamed else [reply.body]
    )
    contents = [json.loads(one)["output"]["choices"][0]["message"]["content"] for one in replies]
    assert "".join(part["text"] for content in contents for part in content) == "hi"


def test_enciphered_input_is_refused(service: WireService) -> None:
    status, body = generate(service, "X-DashScope-EncryptionKey: {}", input="Y2lwaGVy")
    assert (status, body["code"]) == (400, "InvalidParameter")


def test_a_model_without_weights_is_503_with_what_to_do(service: WireService) -> None:
    status, body = generate(service, input={"prompt": "no weights"})
    message = "Model is unavailable, please try again later. Run `longscroll models pull chatyuan-large-v2`."
    assert (status, body["code"], body["message"]) == (503, "ModelUnavailable", message)
