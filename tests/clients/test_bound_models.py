"""A service whose operator bound names to engines and turned the switches: what clients see then."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from factories.client_programs import PROGRAMS, exchange, post, run_program
from factories.model_server import ANSWER, ModelServer
from longscroll.testing import Fault, Rule, ServiceOptions, running_service
from longscroll.testing.process import ServiceProcess

pytestmark = pytest.mark.client("curl")

CHAT = "/compatible-mode/v1/chat/completions"
NATIVE = "/api/v1/services/aigc/text-generation/generation"
STREAM = ("-H", "X-DashScope-SSE: enable")
RULES = (
    Rule(message="break off", deltas=("One. ", "Two. "), fault=Fault(error="InternalError.Algo", after=2)),
    Rule(message="think long", deltas=("At last.",), first_delay_s=26.5),
    Rule(message="think a while", deltas=("At last.",), first_delay_s=11),
    Rule(deltas=("One ", "two ", "three.")),
)
CONFIG = """
[compat]
legacy_null_string = true
parse_wait_s = 0
inline_limit_tokens = 9000
[[upstream]]
name = "here"
urls = ["{url}"]
[[model]]
name = "chatyuan-large-v2"
engine = "upstream"
upstream = "here"
served_name = "tiny"
context_window = 8192
[[model]]
name = "qwen-long"
"""


@pytest.fixture(scope="module")
def model_server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def bound(model_server: ModelServer) -> Iterator[ServiceProcess]:
    options = ServiceOptions(models=("scripted",), config=CONFIG.format(url=model_server.url))
    with running_service(RULES, options=options) as service:
        yield service.process


def chat(question: str, *, model: str = "scripted", **options: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": question}], **options}


@pytest.mark.item(17, 18)
@pytest.mark.client("dashscope-2023", "dashscope-latest")
@pytest.mark.shows("chat", "usage")
def test_the_program_of_the_chatyuan_page_prints_an_answer(bound: ServiceProcess, client_set: str) -> None:
    [said] = run_program(bound, client_set, PROGRAMS / "page_b.py")
    assert (said["text"], said["code"] or "", said["message"] or "") == (ANSWER, "", "")
    assert said["input_tokens"] > 0
    assert said["output_tokens"] > 0


@pytest.mark.item(16, 20)
def test_the_curl_form_of_the_chatyuan_page_is_answered(bound: ServiceProcess) -> None:
    prompt = "用户：帮我写个请假条，我因为感冒不舒服，需要请假1天，请领导批准\\n小元"
    reply = post(bound, NATIVE, {"model": "chatyuan-large-v2", "input": {"prompt": prompt}, "parameters": {}})
    body = reply.json()
    assert (reply.status, body["output"]["text"]) == (200, ANSWER)
    assert body["request_id"] == reply.headers["x-request-id"]


@pytest.mark.item(62)
def test_the_behavior_prompt_reaches_the_model_beside_the_document(
    bound: ServiceProcess, model_server: ModelServer
) -> None:
    wish = "Answer like a pirate."
    document = "The ferry to Skarholmen leaves at 07:40."
    system = [{"role": "system", "content": wish}, {"role": "system", "content": document}]
    body = chat("When does the ferry leave?", model="chatyuan-large-v2")
    body["messages"] = [*system, *body["messages"]]
    assert post(bound, CHAT, body).status == 200
    prompt = json.dumps(model_server.requests[-1]["messages"])
    assert wish in prompt
    assert "07:40" in prompt


@pytest.mark.item(40)
@pytest.mark.shows("errors")
def test_a_native_stream_that_breaks_ends_in_an_error_frame(bound: ServiceProcess) -> None:
    body = {"model": "scripted", "input": {"prompt": "break off"}, "parameters": {"incremental_output": True}}
    *_, last = post(bound, NATIVE, body, *STREAM).frames()
    lines = last.decode().split("\n")
    error = json.loads(lines[4].removeprefix("data:"))
    assert (lines[1], lines[2], lines[3]) == ("event:error", ":HTTP_STATUS/500", "status:500")
    assert error["code"].startswith("InternalError")
    assert error["message"]


@pytest.mark.item(56)
@pytest.mark.shows("errors")
def test_a_compat_stream_that_breaks_ends_in_an_error_line(bound: ServiceProcess) -> None:
    *_, last = post(bound, CHAT, chat("break off", stream=True)).frames()
    body = json.loads(last.removeprefix(b"data: "))
    assert set(body) >= {"error", "request_id"}
    assert (body["error"]["code"], body["error"]["type"]) == ("internal_error", "internal_error")


@pytest.mark.item(59)
def test_running_chunks_say_null_as_a_string_when_asked(bound: ServiceProcess) -> None:
    chunks = post(bound, CHAT, chat("hello", stream=True)).events()
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == ["null"] * (len(chunks) - 1) + ["stop"]


@pytest.mark.item(70, 108)
def test_a_file_that_is_being_parsed_is_a_400_when_nobody_waits(bound: ServiceProcess) -> None:
    key = ("-H", f"Authorization: Bearer {bound.key}")
    text = "".join(f"Line {n} says that nothing happened on day {n}.\n" for n in range(150_000)).encode()
    form = ("-F", "purpose=file-extract", "-F", "file=@-;filename=diary.txt")
    file = exchange(*key, *form, f"{bound.url}/compatible-mode/v1/files", data=text).json()
    body = chat("hello", model="qwen-long")
    body["messages"].insert(0, {"role": "system", "content": f"fileid://{file['id']}"})
    reply = post(bound, CHAT, body)
    assert (reply.status, reply.headers["retry-after"]) == (400, "2")
    assert reply.json()["error"]["message"] == "File parsing in progress, please try again later."
    assert reply.json()["error"]["code"] == "invalid_parameter_error"


@pytest.mark.item(108)
def test_an_inline_document_over_the_limit_of_later_years_is_refused(bound: ServiceProcess) -> None:
    body = chat("What is said?", model="qwen-long")
    body["messages"][:0] = [{"role": "system", "content": text} for text in ("Be brief.", "word " * 9001)]
    error = post(bound, CHAT, body).json()["error"]
    assert (error["code"], error["message"]) == (
        "invalid_parameter_error",
        "Range of input length should be [1, 9000]",
    )


@pytest.mark.item(46)
@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_caller_who_leaves_stops_the_model(
    bound: ServiceProcess, model_server: ModelServer, is_streamed: bool
) -> None:
    model_server.left.clear()
    body = json.dumps(chat("never end", model="chatyuan-large-v2", stream=is_streamed))
    command = ["curl", "--silent", "--noproxy", "*", "-N", "--data-binary", body, f"{bound.url}{CHAT}"]
    caller = subprocess.Popen([*command, "-H", f"Authorization: Bearer {bound.key}"], stdout=subprocess.DEVNULL)
    time.sleep(0.7)
    assert not model_server.left.is_set()
    caller.kill()
    caller.wait()
    assert model_server.left.wait(1.0)


@pytest.mark.item(45, 55)
@pytest.mark.slow
@pytest.mark.parametrize(("path", "comment"), [(CHAT, b": keep-alive"), (NATIVE, b":keep-alive")])
@pytest.mark.shows("silence")
def test_silence_is_filled_with_comments(bound: ServiceProcess, path: str, comment: bytes) -> None:
    body: dict[str, Any] = chat("think long", stream=True)
    if path == NATIVE:
        body = {"model": "scripted", "input": {"prompt": "think long"}}
    frames = post(bound, path, body, *STREAM).frames()
    assert [frame for frame in frames if frame.startswith(b":")] == [comment] * 2  # after 10 seconds, and 15 later
    assert b"At last." in b"".join(frames)


@pytest.mark.item(45, 55)
@pytest.mark.slow
@pytest.mark.client("openai-2023", "openai-latest", "dashscope-2023", "dashscope-latest")
@pytest.mark.shows("silence")
def test_unchanged_clients_outlive_the_silence(bound: ServiceProcess, client_set: str) -> None:
    said = run_program(bound, client_set, PROGRAMS / "patient.py", bound.url, bound.key)
    assert said == [{"openai": "At last."}, {"dashscope": "At last."}]
