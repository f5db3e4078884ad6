"""`longscroll.testing`: a real service that a test directs, with pytest and without."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from factories.http import Client, Reply
from factories.patience import patience
from factories.running import RunningService
from longscroll.engines.base import EngineUsage
from longscroll.errors import DocumentErrorKind
from longscroll.testing import Fault, FileRule, Rule, Service, ServiceOptions, running_service

TEXT = b"The lighthouse of Quarrel Point was lit in 1871."
PARSE_WAIT_S = 0.5
OPTIONS = ServiceOptions(
    models=("qwen-long", "my-model"), config=f'[compat]\nparse_wait_s = {PARSE_WAIT_S}\n[[model]]\nname = "quotes"\n'
)
PLUGIN_TEST = """
import os

def test_one(longscroll_environment):
    from longscroll.testing import Rule
    longscroll_environment.add(Rule(deltas=("once",)))
    assert os.environ["OPENAI_BASE_URL"] == longscroll_environment.base_url
    assert len(longscroll_environment.rules) == 1

def test_two(longscroll):
    assert longscroll.rules == ()
    assert "OPENAI_BASE_URL" not in os.environ
"""
DASHSCOPE_TEST = """
import dashscope
from dashscope.aigc.chat_completion import Completions

from longscroll.testing import Rule

def test_all(longscroll_environment):
    longscroll_environment.replace(Rule(deltas=("here",)))
    asked = {"model": "qwen-long", "messages": [{"role": "user", "content": "Where?"}]}
    old = dashscope.Generation.call(**asked, result_format="message").output.choices[0].message.content
    compatible = Completions.create(**asked).choices[0].message.content
    with dashscope.Client() as client:
        new = client.chat.completions.create(**asked)
    assert (old, compatible) == ("here", "here")
    assert "here" in str(new)
    assert len(longscroll_environment.chats()) == 3
"""
ROOT = Path(__file__).parents[2]
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def started() -> Iterator[Service]:
    with running_service([Rule(message="first", deltas=("from the start",))], options=OPTIONS) as running:
        yield running


@pytest.fixture
def service(started: Service) -> Service:
    started.reset()
    return started


def client(service: Service) -> Client:
    return Client(service.process)


def ask(service: Service, question: str, *, model: str = "qwen-long", **fields: Any) -> Reply:
    return client(service).chat(("user", question), model=model, **fields)


def ask_about(service: Service, file_id: str, **fields: Any) -> Reply:
    system, reference = ("system", "You are a helpful assistant."), ("system", f"fileid://{file_id}")
    return client(service).chat(system, reference, ("user", "What?"), **fields)


def text_of(reply: Reply) -> str:
    assert reply.status == 200, reply.body
    return str(reply.json["choices"][0]["message"]["content"])


def test_the_rules_of_the_start_are_obeyed(service: Service) -> None:
    assert text_of(ask(service, "the first question")) == "from the start"


def test_rules_are_added_before_the_others_and_replaced(service: Service) -> None:
    service.add(Rule(deltas=("added",)))
    added = text_of(ask(service, "the first question", model="my-model"))
    service.replace(Rule(deltas=("replaced",)))
    assert (added, text_of(ask(service, "the first question"))) == ("added", "replaced")


def test_a_question_without_a_rule_says_so(service: Service) -> None:
    reply = ask(service, "another question")
    assert reply.status == 400
    assert reply.json["error"]["message"] == "No rule of the script answers this question for the model qwen-long."


def test_a_rule_counts_its_answers_over_all_models(service: Service) -> None:
    service.replace(Rule(deltas=("once",), times=1), Rule(deltas=("then",)))
    answers = [text_of(ask(service, "?", model=model)) for model in ("qwen-long", "my-model")]
    assert answers == ["once", "then"]


def test_what_was_asked_and_told_can_be_read(service: Service) -> None:
    service.replace(
        Rule(deltas=("ok",), usage=EngineUsage(n_input_tokens=70, n_output_tokens=7), times=1),
        Rule(fault=Fault(error="Throttling.RateQuota")),
    )
    told = ask(service, "one").json["usage"]
    ask(service, "two", temperature=0.5)
    first, second = service.chats()
    assert (told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]) == (70, 7, 77)
    assert first.usage is not None
    assert (first.request.messages[-1].content, first.usage.n_input_tokens, first.error) == ("one", 70, None)
    assert (second.request.sampling.temperature, second.usage, second.error) == (0.5, None, "RequestRateExceeded")


def test_a_reset_forgets_rules_chats_and_files(service: Service) -> None:
    client(service).upload("a.txt", TEXT)
    service.add(Rule(deltas=("added",)), FileRule(stuck=True))
    ask(service, "?")
    service.reset()
    files = client(service).request("GET", "/compatible-mode/v1/files").json["data"]
    assert (files, service.chats(), service.file_rules) == ([], [], ())
    assert text_of(ask(service, "the first question")) == "from the start"


@pytest.mark.parametrize("fault", ["slow", "silence"])
def test_a_reset_ends_batches_before_the_next_test_sees_their_answers(service: Service, fault: str) -> None:
    service.replace(Rule(fault=Fault(error=fault, delay_s=0.2), deltas=("line",)))
    lines = "".join(f"{json.dumps(line(number))}\n" for number in range(50))
    file_id = client(service).upload("lines.jsonl", lines.encode(), purpose="batch")
    made = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch = client(service).request("POST", "/compatible-mode/v1/batches", made).json
    until = time.monotonic() + patience(30)
    while not service.chats() and time.monotonic() < until:
        time.sleep(0.02)
    service.reset()
    after = client(service).request("GET", f"/compatible-mode/v1/batches/{batch['id']}").json
    files = client(service).request("GET", "/compatible-mode/v1/files").json["data"]
    assert (after["status"], files, service.chats()) == ("cancelled", [], [])


def line(number: int) -> dict[str, Any]:
    body = {"model": "qwen-long", "messages": [{"role": "user", "content": "?"}]}
    return {"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions", "body": body}


def test_a_service_that_is_gone_is_no_silent_failure() -> None:
    with running_service() as short:
        pass
    with pytest.raises(ConnectionError):
        short.add(Rule())


def test_a_stuck_parse_is_as_a_parse_that_takes_for_ever(service: Service) -> None:
    service.add(FileRule(name="*.txt", stuck=True), Rule(deltas=("read",)))
    file_id = client(service).upload("a.txt", TEXT)
    waited = ask_about(service, file_id)
    assert (client(service).file(file_id)["status"], waited.status) == ("uploaded", 400)
    assert waited.json["error"]["message"] == "File parsing in progress, please try again later."
    service.replace(Rule(deltas=("read",)))
    client(service).parsed(file_id)
    assert text_of(ask_about(service, file_id)) == "read"


def test_a_stuck_file_is_deleted_at_once(service: Service) -> None:
    service.add(FileRule(stuck=True))
    file_id = client(service).upload("a.txt", TEXT)
    ask_about(service, file_id)
    began = time.monotonic()
    deleted = client(service).request("DELETE", f"/compatible-mode/v1/files/{file_id}")
    assert (deleted.status, time.monotonic() - began < patience(2)) == (200, True)


def test_a_waiting_chat_goes_on_when_the_file_does() -> None:
    answer = Rule(filename="*.txt", deltas=("at last",))
    with running_service([FileRule(stuck=True), answer]) as patient:  # a chat waits for minutes
        file_id = client(patient).upload("a.txt", TEXT)
        release = threading.Timer(0.2, lambda: patient.replace(answer))
        release.start()
        try:
            assert text_of(ask_about(patient, file_id)) == "at last"
        finally:
            release.join()


@pytest.mark.item(72)
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("encrypted", "parsing error."),
        ("too_many_pages", "exceeds page limits (15000 pages)."),
        ("blank", "content blank."),
    ],
)
def test_a_file_may_end_in_any_error(service: Service, kind: str, words: str) -> None:
    service.add(FileRule(name="bad-*", error=DocumentErrorKind(kind)))
    file_id = client(service).upload("bad-one.txt", TEXT)
    file = client(service).parsed(file_id)
    reply = ask_about(service, file_id)
    assert (file["status"], reply.status) == ("error", 400)
    assert reply.json["error"]["message"] == f"File [id:{file_id}] {words}"


def test_the_header_asks_for_a_fault_of_any_model_and_route(service: Service) -> None:
    asked = client(service)
    replies = [
        asked.request("GET", "/compatible-mode/v1/files", X_Longscroll_Fault="Throttling.BurstRate"),
        asked.request("GET", "/api/v1/models", X_Longscroll_Fault="ModelServingError; retry_after_s=4"),
    ]
    assert [(reply.status, reply.headers["retry-after"]) for reply in replies] == [(429, "1"), (503, "4")]
    with pytest.raises(http.client.RemoteDisconnected):
        asked.request("GET", "/compatible-mode/v1/files", X_Longscroll_Fault="cut")


def test_a_model_of_ones_own_stands_beside_the_scripted_ones(service: Service) -> None:
    names = {model["id"] for model in client(service).request("GET", "/v1/models").json["data"]}
    assert names >= {"qwen-long", "my-model", "quotes"}


def test_the_environment_points_every_client_here(service: Service) -> None:
    assert service.environment() == {
        "OPENAI_BASE_URL": f"{service.url}/compatible-mode/v1",
        "OPENAI_API_KEY": service.api_key,
        "DASHSCOPE_BASE_URL": f"{service.url}/api/v1",
        "DASHSCOPE_HTTP_BASE_URL": f"{service.url}/api/v1",
        "DASHSCOPE_COMPATIBLE_BASE_URL": f"{service.url}/compatible-mode/v1",
        "DASHSCOPE_API_KEY": service.api_key,
        "DASHSCOPE_PROTOCOL": "native",
        "DASHSCOPE_WORKSPACE": "default",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


@pytest.mark.parametrize(("scope", "status"), [("chat", 403), ("admin", 200)])
def test_script_and_chats_are_for_administrators_only(service: Service, scope: str, status: int) -> None:
    made = client(service).request("POST", "/admin/v1/keys", {"scopes": [scope]})
    caller = Client(service.process, key=made.json["value"])
    routes = [("GET", "/testing/script"), ("PUT", "/testing/script"), ("GET", "/testing/chats")]
    replies = [caller.request(method, path, {} if method == "PUT" else None) for method, path in routes]
    assert [reply.status for reply in replies] == [status] * 3


def test_a_script_that_means_nothing_is_refused_and_changes_nothing(service: Service) -> None:
    reply = client(service).request("PUT", "/testing/script", {"rule": [{"fault": {"error": "fire"}}]})
    assert (reply.status, "got 'fire'" in reply.json["error"]["message"]) == (400, True)
    assert text_of(ask(service, "the first question")) == "from the start"


def test_a_service_that_can_be_directed_says_so_when_it_starts(service: Service) -> None:
    assert "[testing] is on" in service.process.said()


def test_a_service_that_is_not_for_testing_has_no_such_routes(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as running:
        reply = Client(running).request("GET", "/testing/script", X_Longscroll_Fault="cut")
    assert (reply.status, reply.json["error"]["code"]) == (404, "not_found")


def pytest_run(folder: Path, program: str, **environment: str) -> str:
    """Return what pytest says of a file of tests, run with the fixtures and no variables but these."""
    (folder / "test_mine.py").write_text(program)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "longscroll.fixtures"]
    plain = {"HOME": str(folder), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    done = subprocess.run(
        [*command, str(folder)], capture_output=True, text=True, timeout=100, env=plain | environment, cwd=folder
    )
    return done.stdout + done.stderr


def test_every_dashscope_client_is_pointed_here_whatever_a_developer_has_set(tmp_path: Path) -> None:
    clients = next(ROOT.glob(".venv-clients-latest/lib/python*/site-packages"), None)
    if clients is None:
        pytest.skip(".venv-clients-latest is missing: `make test` makes it")
    said = pytest_run(
        tmp_path,
        DASHSCOPE_TEST,
        PYTHONPATH=str(clients),
        DASHSCOPE_BASE_URL=NOBODY,
        DASHSCOPE_COMPATIBLE_BASE_URL=NOBODY,
        DASHSCOPE_PROTOCOL="openai",
        DASHSCOPE_WORKSPACE="ws-of-mine",
        http_proxy=NOBODY,
        no_proxy="example.com",
    )
    assert "1 passed" in said, said


def test_pytest_finds_the_fixtures_and_loads_no_service_before_they_are_used(tmp_path: Path) -> None:
    said = pytest_run(tmp_path, PLUGIN_TEST)
    assert "2 passed" in said, said
    look = "import sys, longscroll.fixtures; print([m for m in sys.modules if m.startswith('longscroll.')])"
    loaded = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=30).stdout
    assert json.loads(loaded.replace("'", '"')) == ["longscroll.fixtures"]
