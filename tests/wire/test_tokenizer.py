"""The tokenizer and the task endpoints of the native surface, over a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from factories.wire import REQUEST_ID, WireService
from longscroll.tokens import load_counter

pytestmark = pytest.mark.skipif(not load_counter().is_exact, reason="the vocabulary is not installed")


def tokenized(service: WireService, given: dict[str, Any], model: str = "qwen-long") -> tuple[int, Any]:
    body = json.dumps({"model": model, "input": given, "parameters": {}}).encode()
    reply = service.exchange("POST", "/api/v1/tokenizer", body)
    return reply.status, json.loads(reply.body)


def tokens(service: WireService, **given: Any) -> Any:
    status, body = tokenized(service, given)
    assert status == 200, body
    return body["output"]


@pytest.mark.item(88)
@pytest.mark.parametrize(
    "given",
    [
        {"prompt": "代码改变世界"},
        {"messages": [{"role": "user", "content": "代码改变世界"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "代码改变"}, {"text": "世界"}]}]},
        {"history": [{"user": "代码", "bot": "改变"}], "prompt": "世界"},
    ],
)
def test_contents_and_nothing_else_are_counted(service: WireService, given: dict[str, Any]) -> None:
    output = {"token_ids": [46100, 101933, 99489], "tokens": ["代码", "改变", "世界"]}
    expected = {"output": output, "usage": {"input_tokens": 3}, "request_id": REQUEST_ID}
    assert tokenized(service, given) == (200, expected)


@pytest.mark.item(88, 89)
def test_the_recorded_question_has_eight_tokens(service: WireService) -> None:
    assert len(tokens(service, prompt="请问 1+1 是多少？")["token_ids"]) == 8


@pytest.mark.item(88)
def test_part_of_a_character_is_shown_as_a_replacement(service: WireService) -> None:
    assert set(tokens(service, prompt="𓀀")["tokens"]) == {"\ufffd"}


@pytest.mark.item(88)
def test_text_is_composed_and_special_tokens_are_honored(service: WireService) -> None:
    shown = tokens(service, prompt="<|im_start|>cafe\u0301<|extra_204|><|im_end|>")
    assert (shown["token_ids"][0], shown["token_ids"][-2:]) == (151644, [151850, 151645])
    assert "".join(shown["tokens"]) == "<|im_start|>café<|extra_204|><|im_end|>"


def test_an_empty_prompt_has_no_tokens(service: WireService) -> None:
    assert tokens(service, prompt="") == {"token_ids": [], "tokens": []}


def test_a_long_text_is_encoded_whole(service: WireService) -> None:
    assert len(tokens(service, prompt="代码改变世界\n" * 10_000)["token_ids"]) == 40_000


@pytest.mark.parametrize(
    ("given", "model", "expected"),
    [
        ({"prompt": "x"}, "qwen-short", (404, "ModelNotFound", "Model can not be found.")),
        (
            {},
            "qwen-long",
            (400, "InvalidParameter", 'Either "prompt" or "messages" must exist and cannot both be none'),
        ),
        (None, "qwen-long", (400, "BadRequest.EmptyInput", "Required input parameter missing from request.")),
    ],
)
def test_what_cannot_be_tokenized_is_refused(
    service: WireService, given: Any, model: str, expected: tuple[int, str, str]
) -> None:
    status, body = tokenized(service, given, model)
    assert (status, body["code"], body["message"]) == expected


@pytest.mark.parametrize("model", ["chatyuan-large-v2", "text-embedding-v4"])
def test_every_model_that_is_named_here_has_tokens(service: WireService, model: str) -> None:
    assert tokenized(service, {"prompt": "x"}, model)[0] == 200


@pytest.mark.item(93)
def test_an_unknown_task_is_a_state_and_no_error(service: WireService) -> None:
    reply = service.exchange("GET", "/api/v1/tasks/7e8c")
    expected = {"request_id": REQUEST_ID, "output": {"task_id": "7e8c", "task_status": "UNKNOWN"}}
    assert (reply.status, json.loads(reply.body)) == (200, expected)


@pytest.mark.item(93)
def test_the_page_of_tasks_is_empty(service: WireService) -> None:
    reply = service.exchange("GET", "/api/v1/tasks/?page_no=2&page_size=5&status=RUNNING")
    expected = {"request_id": REQUEST_ID, "data": [], "total": 0, "total_page": 0, "page_no": 2, "page_size": 5}
    assert (reply.status, json.loads(reply.body)) == (200, expected)


@pytest.mark.item(93)
def test_a_task_cannot_be_canceled(service: WireService) -> None:
    reply = service.exchange("POST", "/api/v1/tasks/7e8c/cancel")
    expected = {
        "code": "UnsupportedOperation",
        "message": "Failed to cancel the task, please confirm if the task is in PENDING status.",
        "request_id": REQUEST_ID,
    }
    assert (reply.status, json.loads(reply.body)) == (400, expected)
