"""Batches over a socket: what is asked of them, what they look like, whose they are. None of them is run here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from factories.wire import FOREIGN_KEY, KEY, Reply, WireService, wire_service
from longscroll.services.files import FileOptions

BATCHES = "/compatible-mode/v1/batches"
FORM = "Content-Type: multipart/form-data; boundary=XX"
DISPOSITION = "Content-Disposition: form-data; name="
UNKNOWN = "batch_00000000-0000-4000-8000-000000000000"


def upload(
    service: WireService, data: bytes = b"{}\n", *, purpose: str = "batch", key: str = KEY, file_first: bool = False
) -> Reply:
    parts = [
        f'--XX\r\n{DISPOSITION}"purpose"\r\n\r\n{purpose}\r\n'.encode(),
        f'--XX\r\n{DISPOSITION}"file"; filename="q.jsonl"\r\n\r\n'.encode() + data + b"\r\n",
    ]
    body = b"".join(reversed(parts) if file_first else parts) + b"--XX--\r\n"
    return service.exchange("POST", "/v1/files", body, FORM, key=key)


def uploaded(service: WireService, **arguments: Any) -> str:
    found: str = json.loads(upload(service, **arguments).body)["id"]
    return found


def create(service: WireService, file_id: str, *, key: str = KEY, **fields: Any) -> Reply:
    body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"} | fields
    return service.exchange("POST", BATCHES, json.dumps(body).encode(), key=key)


def created(service: WireService, **fields: Any) -> dict[str, Any]:
    reply = create(service, uploaded(service), **fields)
    assert reply.status == 200, reply.body
    found: dict[str, Any] = json.loads(reply.body)
    return found


def get(service: WireService, path: str, *, method: str = "GET", key: str = KEY) -> tuple[int, Any]:
    reply = service.exchange(method, BATCHES + path, key=key)
    return reply.status, json.loads(reply.body)


@pytest.mark.item(116)
def test_a_batch_begins_as_validating(service: WireService) -> None:
    metadata = {"ds_name": "周报", "ds_description": "all", "ds_batch_finish_callback": "https://example.invalid/done"}
    batch = created(service, completion_window="14d", metadata=metadata)
    assert batch.pop("id").startswith("batch_")
    assert batch.pop("input_file_id").startswith("file-batch-")
    assert batch == {
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "errors": None,
        "completion_window": "14d",
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": 1764500000,
        "in_progress_at": None,
        "expires_at": 1764500000 + 14 * 86400,
        "finalizing_at": None,
        "completed_at": None,
        "failed_at": None,
        "expired_at": None,
        "cancelling_at": None,
        "cancelled_at": None,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metadata": metadata,
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input_file_id": ""}, "input_file_id"),
        ({"input_file_id": 7}, "input_file_id"),
        ({"endpoint": "/v1/files"}, "endpoint"),
        ({"endpoint": None}, "endpoint"),
        ({"completion_window": "23h"}, "completion_window"),
        ({"completion_window": "337h"}, "completion_window"),
        ({"completion_window": "15d"}, "completion_window"),
        ({"completion_window": "a day"}, "completion_window"),
        ({"completion_window": None}, "completion_window"),
        ({"metadata": {"ds_name": 7}}, "metadata"),
        ({"metadata": {"ds_name": "x" * 513}}, "metadata"),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata"),
    ],
)
def test_what_is_wrong_with_a_batch_is_400_and_named(service: WireService, fields: dict[str, Any], param: str) -> None:
    reply = create(service, uploaded(service), **fields)
    assert (reply.status, json.loads(reply.body)["error"]["param"]) == (400, param)


def test_an_input_is_a_file_for_batches(service: WireService) -> None:
    reply = create(service, uploaded(service, purpose="file-extract"))
    assert (reply.status, json.loads(reply.body)["error"]["param"]) == (400, "input_file_id")


def test_a_foreign_input_is_a_missing_one(service: WireService) -> None:
    foreign = uploaded(service, key=FOREIGN_KEY)
    replies = [create(service, file_id) for file_id in (foreign, "file-batch-0")]
    assert [reply.status for reply in replies] == [404, 404]
    assert replies[0].body.replace(foreign.encode(), b"file-batch-0") == replies[1].body


def test_a_body_that_is_no_json_is_refused(service: WireService) -> None:
    reply = service.exchange("POST", BATCHES, b"no json")
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (400, "invalid_request_error")


def test_a_batch_is_found_again(service: WireService) -> None:
    batch = created(service)
    assert get(service, f"/{batch['id']}") == (200, batch)


@pytest.mark.parametrize(("method", "action"), [("GET", ""), ("POST", "/cancel")])
def test_a_foreign_batch_is_a_missing_one(service: WireService, method: str, action: str) -> None:
    own = created(service)["id"]
    replies = [
        service.exchange(method, f"{BATCHES}/{batch_id}{action}", key=FOREIGN_KEY) for batch_id in (own, UNKNOWN)
    ]
    assert [reply.status for reply in replies] == [404, 404]
    assert replies[0].body.replace(own.encode(), UNKNOWN.encode()) == replies[1].body
    assert json.loads(replies[1].body)["error"] == {
        "code": "batch_not_found",
        "param": "id",
        "message": f"No batch found with id '{UNKNOWN}'.",
        "type": "invalid_request_error",
    }


def test_a_canceled_batch_says_so_however_often_it_is_canceled() -> None:
    with wire_service() as service:
        batch = created(service)
        canceled = batch | {"status": "cancelling", "cancelling_at": 1764500000}
        assert [get(service, f"/{batch['id']}/cancel", method="POST") for _ in range(2)] == [(200, canceled)] * 2


def test_a_listing_is_paged_and_shows_what_is_asked_for() -> None:
    with wire_service() as service:
        ids = [created(service, metadata={"ds_name": name})["id"] for name in ("one", "two", "two more")]
        assert get(service, "?limit=2")[1] | {"data": None} == {
            "object": "list",
            "data": None,
            "first_id": ids[2],
            "last_id": ids[1],
            "has_more": True,
        }
        assert [batch["id"] for batch in get(service, f"?after={ids[1]}")[1]["data"]] == [ids[0]]
        assert [batch["id"] for batch in get(service, "?ds_name=two&status=validating,failed")[1]["data"]] == ids[:0:-1]
        assert get(service, "?status=completed")[1]["data"] == []


def test_a_listing_without_a_batch_is_empty(service: WireService) -> None:
    nothing: dict[str, Any] = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert get(service, "", key=FOREIGN_KEY) == (200, nothing)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "status=done", "create_after=yesterday"])
def test_a_listing_refuses_what_it_cannot_mean(service: WireService, query: str) -> None:
    status, body = get(service, f"?{query}")
    assert (status, body["error"]["param"]) == (400, query.partition("=")[0])


@pytest.mark.item(116)
def test_a_file_for_batches_is_not_parsed_and_comes_back_as_it_is(service: WireService) -> None:
    content = b'{"custom_id": "\xe9"}\r\n\n'
    file = json.loads(upload(service, content).body)
    reply = service.exchange("GET", f"/v1/files/{file['id']}/content")
    assert (file["id"][:11], file["purpose"], file["status"]) == ("file-batch-", "batch", "processed")
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, "application/jsonl", content)


@pytest.mark.parametrize("file_first", [False, True])
def test_each_purpose_has_a_limit_of_its_own(file_first: bool) -> None:
    options = FileOptions(max_file_bytes=10, max_batch_bytes=20)
    with wire_service(file_options=options) as service:
        replies = [
            upload(service, b"x" * size, purpose=purpose, file_first=file_first)
            for purpose, size in (("file-extract", 10), ("file-extract", 11), ("batch", 20), ("batch", 21))
        ]
    assert [reply.status for reply in replies] == [200, 400, 200, 400]


def test_nobody_uploads_what_only_a_batch_makes(service: WireService) -> None:
    reply = upload(service, purpose="batch_output")
    assert (reply.status, json.loads(reply.body)["error"]["param"]) == (400, "purpose")
