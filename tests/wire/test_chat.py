"""The compat surface's chat, over a socket: what the service is asked, and the shapes of answers."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from factories.answers import SCRIPTS
from factories.wire import FAST, WireService, wire_service
from longscroll.types import ChatRequest, Delta, Message, Sampling

CHAT = "/compatible-mode/v1/chat/completions"
USER = {"role": "user", "content": "你好"}


def chat(service: WireService, *messages: Any, **fields: Any) -> tuple[int, dict[str, Any]]:
    body = {"model": "qwen-long", "messages": messages or [USER]} | fields
    reply = service.exchange("POST", CHAT, json.dumps(body).encode())
    return reply.status, json.loads(reply.body)


def chunks(service: WireService, question: str, **fields: Any) -> list[dict[str, Any]]:
    body = {"model": "qwen-long", "messages": [{"role": "user", "content": question}], "stream": True} | fields
    frames = service.exchange("POST", CHAT, json.dumps(body).encode()).body.decode().split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    return [json.loads(frame.removeprefix("data: ")) for frame in frames[:-2]]


def refusal(service: WireService, *messages: Any, **fields: Any) -> tuple[int, str, str, str | None]:
    status, body = chat(service, *messages, **fields)
    return status, body["error"]["code"], body["error"]["message"], body["error"]["param"]


def invalid(message: str, param: str) -> tuple[int, str, str, str]:
    return 400, "invalid_parameter_error", message, param


def test_the_service_is_asked_in_the_words_of_the_domain(service: WireService) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": "fileid://file-fe-1"},
        {"role": "user", "content": [{"type": "text", "text": "你"}, {"type": "text", "text": "好"}], "name": "x"},
    ]
    chat(
        service,
        *messages,
        model=" qwen-long-latest ",
        temperature=0,
        top_k=200,
        max_completion_tokens=7,
        max_tokens=9,
        stop="停",
        seed=3,
        longscroll={"citations": "marks", "report": True, "partial": True},
    )
    asked = service.answers.requests[-1]
    assert asked == ChatRequest(
        workspace="acme",
        key_id=asked.key_id,
        request_id=asked.request_id,
        model="qwen-long-latest",
        messages=(
            Message(role="system", content="Be brief."),
            Message(role="system", content="fileid://file-fe-1"),
            Message(role="user", content="你好"),
        ),
        sampling=Sampling(temperature=0, max_tokens=7, stop=("停",), seed=3),
        citations="marks",
        counts_deltas=False,
        wants_report=True,
        wants_partial=True,
    )


@pytest.mark.item(60, 61, 62)
def test_every_turn_reaches_the_service_as_it_was_sent(service: WireService) -> None:
    turns = [
        ("system", "You are a lawyer."),
        ("system", "fileid://file-fe-1,fileid://file-fe-2"),
        ("user", "a"),
        ("assistant", "b"),
        ("system", "fileid://file-fe-3"),
        ("user", "你好"),
    ]
    chat(service, *({"role": role, "content": content} for role, content in turns))
    assert [(message.role, message.content) for message in service.answers.requests[-1].messages] == turns


@pytest.mark.item(130)
def test_a_file_part_is_a_document(service: WireService) -> None:
    parts = [{"type": "text", "text": "你好"}, {"type": "file", "file": {"file_id": "file-fe-1"}}]
    chat(service, {"role": "user", "content": parts})
    assert service.answers.requests[-1].messages == (Message(role="user", content="你好", file_ids=("file-fe-1",)),)


@pytest.mark.item(26)
def test_an_unknown_model_is_404_before_parameters_are_looked_at(service: WireService) -> None:
    message = "The model `qwen-short` does not exist or you do not have access to it."
    expected = (404, "model_not_found", message, "model")
    assert refusal(service, model="qwen-short", temperature="hot") == expected


@pytest.mark.parametrize("model", [None, ""])
def test_a_missing_model_is_400(service: WireService, model: str | None) -> None:
    expected = (400, "invalid_request_error", "you must provide a model parameter", "model")
    assert refusal(service, model=model) == expected


@pytest.mark.item(63)
@pytest.mark.parametrize(
    ("fields", "message", "param"),
    [
        ({"temperature": 2}, "Temperature should be in [0.0, 2.0)", "temperature"),
        ({"temperature": "hot"}, "Temperature should be in [0.0, 2.0)", "temperature"),
        ({"top_p": 0}, "Range of top_p should be (0.0, 1.0]", "top_p"),
        ({"top_k": -1}, "Parameter top_k be greater than or equal to 0", "top_k"),
        ({"presence_penalty": 2.1}, "Presence_penalty should be in [-2.0, 2.0]", "presence_penalty"),
        ({"max_tokens": 0}, "Range of max_tokens should be [1, 32768]", "max_tokens"),
        ({"n": 5}, "Range of n should be [1, 4]", "n"),
        ({"n": 2, "tools": [{"type": "function"}]}, "Range of n should be [1, 1]", "n"),
        (
            {"response_format": {"type": "json_object"}},
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            "response_format",
        ),
        (
            {"response_format": {"type": "yaml"}},
            "response_format of this type is not supported by this model.",
            "response_format",
        ),
        ({"messages": []}, "Role must be user or assistant and Content length must be greater than 0", "messages"),
        ({"messages": ["hi"]}, "Input should be a valid dictionary or instance of GPT3Message", "messages"),
        ({"messages": [{"role": "user"}]}, "The content field is a required field.", "messages"),
        ({"messages": [{"role": "user", "content": 3}]}, "input content must be a string.", "messages"),
    ],
)
def test_what_is_out_of_range_is_400_with_the_documented_text(
    service: WireService, fields: dict[str, Any], message: str, param: str
) -> None:
    assert refusal(service, **fields) == invalid(message, param)


def test_null_parameters_are_absent(service: WireService) -> None:
    fields = dict.fromkeys(("temperature", "top_p", "max_tokens", "stop", "stream", "stream_options", "tools", "n"))
    assert chat(service, **fields)[0] == 200


@pytest.mark.item(50)
@pytest.mark.parametrize("question", ["你好", "cited", "nothing", "separators"])
def test_a_streamed_answer_is_the_whole_one_in_pieces(service: WireService, question: str) -> None:
    _, whole = chat(service, {"role": "user", "content": question})
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(service, question)]
    message = whole["choices"][0]["message"]
    assert "".join(delta["content"] for delta in deltas) == message["content"]
    assert [note for delta in deltas for note in delta.get("annotations", ())] == message.get("annotations", [])


@pytest.mark.item(49)
@pytest.mark.parametrize("question", ["你好", "nothing", "long"])
def test_the_role_stands_in_the_first_chunk_only(service: WireService, question: str) -> None:
    choices = [chunk["choices"][0] for chunk in chunks(service, question)]
    assert ["role" in choice["delta"] for choice in choices] == [True] + [False] * (len(choices) - 1)
    assert choices[-1] == {"finish_reason": "stop", "delta": {"content": ""}, "index": 0, "logprobs": None}


@pytest.mark.item(51, 57)
def test_exactly_one_last_chunk_has_the_usage_when_it_is_asked_for(service: WireService) -> None:
    last = [
        (chunk["choices"], chunk["usage"]) for chunk in chunks(service, "你好", stream_options={"include_usage": True})
    ]
    details = {"cached_tokens": 0, "read_tokens": 5}
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "prompt_tokens_details": details}
    assert [used for _, used in last] == [None, None, None, usage]
    assert last[-1][0] == []


@pytest.mark.item(59)
def test_running_chunks_can_carry_the_old_string() -> None:
    with wire_service(msgspec.structs.replace(FAST, legacy_null_string=True)) as service:
        reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks(service, "cited")]
    assert reasons == ["null", "null", "null", "stop"]


@pytest.mark.item(106)
def test_a_stop_at_the_limit_says_length(service: WireService) -> None:
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks(service, "cut")] == [None, "length"]


def test_a_reply_says_which_other_model_answered(service: WireService) -> None:
    _, whole = chat(service, {"role": "user", "content": "substitute"})
    streamed = [chunk.get("model_served") for chunk in chunks(service, "substitute")]
    assert (whole["model"], whole["model_served"], streamed) == ("qwen-long", "other-model", [None, "other-model"])


def test_estimated_counts_say_so(service: WireService) -> None:
    _, whole = chat(service, {"role": "user", "content": "estimated"})
    assert whole["usage"]["estimated"] is True


def test_a_model_without_weights_is_503_with_what_to_do(service: WireService) -> None:
    status, body = chat(service, {"role": "user", "content": "no weights"})
    message = "Model is unavailable, please try again later. Run `longscroll models pull chatyuan-large-v2`."
    assert (status, body["error"]["code"], body["error"]["message"]) == (503, "model_unavailable", message)


def test_the_scripts_are_what_the_tests_take_them_for() -> None:
    assert [step.text for step in SCRIPTS["你好"] if isinstance(step, Delta)] == ["你", "好"]
