"""Uploads that are sent twice under one Idempotency-Key."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from factories.wire import FOREIGN_KEY, KEY, WireService

HEAD = "Content-Disposition: form-data; name="


def upload(
    service: WireService, name: str | None, text: str = "hello", *, filename: str = "a.txt", key: str = KEY
) -> tuple[int, Any]:
    part = f'--x\r\n{HEAD}"purpose"\r\n\r\nfile-extract\r\n--x\r\n{HEAD}"file"; filename="{filename}"\r\n\r\n{text}'
    headers = ["Content-Type: multipart/form-data; boundary=x", *([f"Idempotency-Key: {name}"] if name else [])]
    reply = service.exchange("POST", "/v1/files", f"{part}\r\n--x--\r\n".encode(), *headers, key=key)
    return reply.status, json.loads(reply.body)


@pytest.mark.item(129)
def test_the_same_upload_is_one_file(service: WireService) -> None:
    first, again = upload(service, "once"), upload(service, "once")
    assert first == again
    assert first[0] == 200


@pytest.mark.item(129)
def test_uploads_at_the_same_moment_are_one_file(service: WireService) -> None:
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: upload(service, "together"), range(8)))
    assert len({body["id"] for _, body in replies}) == 1


@pytest.mark.item(129)
@pytest.mark.parametrize("change", [{"text": "other"}, {"filename": "b.txt"}])
def test_another_upload_under_the_same_key_is_refused(service: WireService, change: dict[str, str]) -> None:
    name = f"other-{change}".replace(" ", "")
    upload(service, name)
    status, body = upload(service, name, **change)
    words = "Idempotency-Key was given to another upload within a day; give each upload a key of its own."
    assert (status, body["error"]["code"], body["error"]["message"]) == (400, "invalid_parameter_error", words)


@pytest.mark.item(74, 129)
def test_without_a_key_and_in_another_workspace_each_upload_is_a_file(service: WireService) -> None:
    ids = [upload(service, None)[1]["id"], upload(service, None)[1]["id"]]
    ids += [upload(service, "shared", key=key)[1]["id"] for key in (KEY, FOREIGN_KEY)]
    assert len(set(ids)) == 4
    assert upload(service, "shared")[1]["id"] == ids[2]


@pytest.mark.item(129)
def test_a_deleted_file_does_not_come_back(service: WireService) -> None:
    file_id = upload(service, "deleted")[1]["id"]
    assert service.exchange("DELETE", f"/v1/files/{file_id}").status == 200
    status, body = upload(service, "deleted")
    assert (status, body["id"] == file_id) == (200, False)


@pytest.mark.item(129)
def test_a_refused_upload_does_not_hold_its_key(service: WireService) -> None:
    assert upload(service, "refused", "x" * (1 << 21))[0] == 400
    assert upload(service, "refused")[0] == 200


def test_a_key_of_any_length_is_not_kept(service: WireService) -> None:
    assert upload(service, "k" * 256)[0] == 400
