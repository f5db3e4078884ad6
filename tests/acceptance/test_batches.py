"""A batch on a real service: kills, a restart in good order, and the reply that a live request would have had."""

from __future__ import annotations

import json
import random
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from factories.batches import make_line, to_jsonl
from factories.canaries import make_token, tokens_on_disk
from factories.http import Client
from factories.inspection import GONE_WITHIN_S
from factories.patience import patience
from factories.running import RunningService

SCRIPT = """
[[rule]]
message = "busy once"
times = 1
fault = { error = "ModelServingError", retry_after_s = 1 }

[[rule]]
message = "slow"
deltas = ["one ", "two ", "three ", "four ", "five"]
pace_s = 0.01

[[rule]]
deltas = ["quick"]
"""
N_LINES = 200
ENDS_WITHIN_S = 60.0
UNFINISHED = ("validating", "in_progress", "finalizing", "cancelling")


def start(folder: Path, *, config: str = "") -> RunningService:
    (folder / "answers.toml").write_text(SCRIPT)
    model = f'[[model]]\nname = "scripted"\nengine = "scripted"\nscript = "{folder / "answers.toml"}"\n'
    (folder / "longscroll.toml").write_text(config + model)
    return RunningService(folder / "data", arguments=["--config", str(folder / "longscroll.toml")])


def ask(custom_id: str, question: str, **fields: Any) -> dict[str, Any]:
    body = {"model": "scripted", "messages": [{"role": "user", "content": question}], **fields}
    return make_line(custom_id, body=body)


def submit(client: Client, *lines: object) -> str:
    """Upload an input, create its batch, and return the batch's id."""
    uploaded = client.send_file("questions.jsonl", to_jsonl(*lines), purpose="batch")
    asked = {"input_file_id": uploaded.json["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    created = client.request("POST", "/v1/batches", asked)
    assert created.status == 200, created.body
    batch_id: str = created.json["id"]
    return batch_id


def batch_of(client: Client, batch_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.request("GET", f"/v1/batches/{batch_id}").json
    return found


def ended(client: Client, batch_id: str) -> dict[str, Any]:
    """Wait for the end of a batch."""
    until = time.monotonic() + patience(ENDS_WITHIN_S)
    while (batch := batch_of(client, batch_id))["status"] in UNFINISHED:
        assert time.monotonic() < until, batch
        time.sleep(0.05)
    return batch


def records(client: Client, file_id: str | None) -> list[dict[str, Any]]:
    if file_id is None:
        return []
    content = client.request("GET", f"/v1/files/{file_id}/content").body
    return [json.loads(line) for line in content.splitlines()]


def test_a_line_has_the_reply_that_a_live_request_has(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Be brief."}
    document = {"role": "system", "content": "E17 means that there is air in the suction line."}
    question = {"role": "user", "content": "What does E17 mean?"}
    bodies: list[dict[str, Any]] = [
        {"model": "qwen-long", "messages": [system, document, question], "longscroll": {"report": True}},
        {"model": "qwen-long", "messages": [{"role": "system", "content": "fileid://file-fe-none"}, question]},
        {"model": "qwen-long", "messages": [question], "temperature": 7},
    ]
    with start(tmp_path) as service:
        client = Client(service)
        live = [client.request("POST", "/v1/chat/completions", body) for body in bodies]
        batch = ended(client, submit(client, *(make_line(str(n), body=body) for n, body in enumerate(bodies))))
        lines = records(client, batch["output_file_id"]) + records(client, batch["error_file_id"])
    told = [(line["response"]["status_code"], line["response"]["body"]) for line in lines]
    assert [(status, _plain(body)) for status, body in told] == [(one.status, _plain(one.json)) for one in live]


def _plain(body: dict[str, Any]) -> dict[str, Any]:
    """Return a reply without what is its own each time."""
    return {name: value for name, value in body.items() if name not in ("id", "request_id", "created")}


@pytest.mark.slow
@pytest.mark.item(116)
@pytest.mark.timeout(300)
def test_no_line_is_lost_or_answered_or_metered_twice_by_kills(tmp_path: Path) -> None:
    seed, n_kills = secrets.randbelow(1_000_000), 6
    chance = random.Random(seed)
    lines = [ask(f"r{n}", "slow", **({"n": 99} if n % 10 == 0 else {})) for n in range(N_LINES)]
    with start(tmp_path) as service:
        batch_id = submit(Client(service), *lines)
        time.sleep(chance.uniform(0.0, 1.0))
        service.kill()
    n_answered = []
    for _ in range(n_kills):
        with start(tmp_path) as service:
            time.sleep(chance.uniform(0.1, 1.2))
            n_answered.append(batch_of(Client(service), batch_id)["request_counts"]["completed"])
            service.kill()
    with start(tmp_path) as service:
        client = Client(service)
        batch = ended(client, batch_id)
        output, errors = (records(client, batch[f"{kind}_file_id"]) for kind in ("output", "error"))
        usage = client.request("GET", "/admin/v1/usage/requests?limit=1000").json["data"]
    sys.stdout.write(f"\nseed {seed}, lines answered before each kill: {n_answered}\n")
    assert (batch["status"], batch["request_counts"]) == ("completed", {"total": 200, "completed": 180, "failed": 20})
    assert sorted(line["custom_id"] for line in (*output, *errors)) == sorted(line["custom_id"] for line in lines)
    assert (len(output), {line["response"]["status_code"] for line in errors}) == (180, {400})
    told = {line["id"]: line["response"]["body"]["usage"] for line in output}
    metered = {row["request_id"]: (row["input_tokens"], row["output_tokens"], row["outcome"]) for row in usage}
    assert len(usage) == len(metered) == len(told)
    assert metered == {n: (one["prompt_tokens"], one["completion_tokens"], "ok") for n, one in told.items()}


def test_a_batch_goes_on_after_a_restart_in_good_order(tmp_path: Path) -> None:
    with start(tmp_path) as service:
        batch_id = submit(Client(service), *(ask(f"r{n}", "slow") for n in range(40)))
        time.sleep(0.4)
        assert service.stop() == 0
    with start(tmp_path) as service:
        client = Client(service)
        output = records(client, ended(client, batch_id)["output_file_id"])
        n_requests = client.request("GET", "/admin/v1/usage").json["total"]["requests"]
    assert [line["custom_id"] for line in output] == [f"r{n}" for n in range(40)]
    assert n_requests == 40


def test_a_canceled_batch_keeps_what_it_has(tmp_path: Path) -> None:
    with start(tmp_path) as service:
        client = Client(service)
        batch_id = submit(client, *(ask(f"r{n}", "slow") for n in range(400)))
        time.sleep(0.4)
        assert client.request("POST", f"/v1/batches/{batch_id}/cancel").json["status"] == "cancelling"
        batch = ended(client, batch_id)
        output, errors = (records(client, batch[f"{kind}_file_id"]) for kind in ("output", "error"))
    counts = batch["request_counts"]
    assert (batch["status"], counts["total"]) == ("cancelled", 400)
    assert (len(output), len(errors)) == (counts["completed"], counts["failed"])
    assert [line["custom_id"] for line in (*output, *errors)] == [f"r{n}" for n in range(400)]


def test_a_revoked_key_answers_no_further_line(tmp_path: Path) -> None:
    with start(tmp_path) as service:
        operator = Client(service)
        made = operator.request("POST", "/admin/v1/keys", {"name": "a batch", "workspace": "default"}).json
        batch_id = submit(Client(service, key=made["value"]), *(ask(f"r{n}", "slow") for n in range(100)))
        time.sleep(0.3)
        assert operator.request("DELETE", f"/admin/v1/keys/{made['id']}").status == 200
        batch = ended(operator, batch_id)
        errors = records(operator, batch["error_file_id"])
    assert (batch["status"], batch["request_counts"]["failed"]) == ("completed", len(errors))
    assert {line["response"]["status_code"] for line in errors} == {401}


def test_nothing_of_a_batch_is_left_when_its_files_are_deleted(tmp_path: Path) -> None:
    token = make_token(random.Random())
    system = [{"role": "system", "content": text} for text in ("Be brief.", f"E17 means qz{token}.")]
    body = {"model": "qwen-long", "messages": [*system, {"role": "user", "content": "What does E17 mean?"}]}
    with start(tmp_path) as service:
        client = Client(service)
        batch = ended(client, submit(client, *(make_line(str(number), body=body) for number in range(50))))
        assert token in str(records(client, batch["output_file_id"]))
        assert {trace.path.name for trace in tokens_on_disk(service.data_dir)[token]} == {"bytes"}
        for file_id in (batch["input_file_id"], batch["output_file_id"]):
            assert client.request("DELETE", f"/v1/files/{file_id}").status == 200
        until = time.monotonic() + patience(GONE_WITHIN_S)
        while (found := tokens_on_disk(service.data_dir).get(token)) and time.monotonic() < until:
            time.sleep(0.05)
    assert not found


def test_a_line_whose_model_is_busy_is_asked_again(tmp_path: Path) -> None:
    with start(tmp_path) as service:
        client = Client(service)
        batch = ended(client, submit(client, ask("a", "busy once")))
        output = records(client, batch["output_file_id"])
        n_requests = client.request("GET", "/admin/v1/usage").json["total"]["requests"]
    assert [line["response"]["body"]["choices"][0]["message"]["content"] for line in output] == ["quick"]
    assert n_requests == 1
