"""The keys, for those who administer them, over a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from factories.wire import FAST, FOREIGN_KEY, KEY, NARROW_KEY, NOON, OPERATOR_KEY, WireService, wire_service
from longscroll.access.plaintext import is_well_formed

KEYS = "/admin/v1/keys"
NOW = int(NOON.timestamp())


def ask(service: WireService, method: str, path: str, body: object = None, key: str = KEY) -> tuple[int, Any]:
    sent = b"" if body is None else json.dumps(body).encode()
    reply = service.exchange(method, path, sent, key=key)
    return reply.status, json.loads(reply.body)


def made(service: WireService, key: str = KEY, **wanted: object) -> dict[str, Any]:
    status, body = ask(service, "POST", KEYS, wanted, key)
    assert status == 200, body
    found: dict[str, Any] = body
    return found


def test_a_new_key_is_shown_once_and_never_again(service: WireService) -> None:
    reply = service.exchange("POST", KEYS, b'{"name":"laptop","scopes":["chat"],"models":["qwen-long"]}')
    key = json.loads(reply.body)
    value, shown = key.pop("value"), f"{key['redacted_value'][:10]}…{key['redacted_value'][-4:]}"
    assert (reply.headers["cache-control"], is_well_formed(value), f"{value[:10]}…{value[-4:]}") == (
        "no-store",
        True,
        shown,
    )
    assert ask(service, "GET", f"{KEYS}/{key['id']}") == (200, key)
    assert value not in json.dumps(ask(service, "GET", KEYS))


def test_a_key_says_all_that_may_be_known_of_it(service: WireService) -> None:
    key = made(service, name="laptop", expires_in_s=60)
    assert ask(service, "GET", f"{KEYS}/{key['id']}")[1] == {
        "id": key["id"],
        "object": "api_key",
        "workspace": "acme",
        "name": "laptop",
        "redacted_value": key["redacted_value"],
        "scopes": ["chat", "files:read", "files:write"],
        "models": [],
        "state": "active",
        "created_at": key["created_at"],
        "expires_at": NOW + 60,
        "revoked_at": None,
    }


def test_a_rotated_key_has_a_successor_and_an_end(service: WireService) -> None:
    key = made(service, name="laptop", expires_at=NOW + 10**8)
    status, successor = ask(service, "POST", f"{KEYS}/{key['id']}/rotate", {"overlap_s": 3600})
    old = ask(service, "GET", f"{KEYS}/{key['id']}")[1]
    assert (status, successor["name"], successor["id"] != key["id"]) == (200, "laptop", True)
    assert successor["value"] != key["value"]
    assert old["expires_at"] < key["expires_at"]


def test_a_body_may_be_left_out(service: WireService) -> None:
    key = made(service)
    assert ask(service, "POST", f"{KEYS}/{key['id']}/rotate")[0] == 200
    assert ask(service, "POST", KEYS)[1]["name"] == ""


def test_a_revoked_key_says_so_and_again_changes_nothing(service: WireService) -> None:
    key = made(service)
    replies = [ask(service, "DELETE", f"{KEYS}/{key['id']}") for _ in range(2)]
    assert replies[0] == replies[1]
    assert (replies[0][0], replies[0][1]["state"]) == (200, "revoked")
    assert ask(service, "POST", f"{KEYS}/{key['id']}/rotate")[0] == 400


def test_the_operator_manages_every_workspace_and_others_their_own() -> None:
    with wire_service(FAST) as service:
        ids = [made(service, OPERATOR_KEY, workspace=name)["id"] for name in ("acme", "other", "default")]
        lists = {
            key: {one["id"] for one in ask(service, "GET", KEYS, key=key)[1]["data"]}
            for key in (OPERATOR_KEY, KEY, FOREIGN_KEY)
        }
        filtered = ask(service, "GET", f"{KEYS}?workspace=other", key=OPERATOR_KEY)[1]["data"]
    assert lists == {OPERATOR_KEY: set(ids), KEY: {ids[0]}, FOREIGN_KEY: {ids[1]}}
    assert [one["id"] for one in filtered] == [ids[1]]


def test_only_an_admin_key_gets_in(service: WireService) -> None:
    calls = [("POST", KEYS), ("GET", KEYS), ("GET", f"{KEYS}/x"), ("POST", f"{KEYS}/x/rotate"), ("DELETE", f"{KEYS}/x")]
    assert {ask(service, method, path, key=NARROW_KEY)[0] for method, path in calls} == {403}


def test_another_workspace_is_refused_whether_it_is_there_or_not(service: WireService) -> None:
    refusals = [ask(service, "POST", KEYS, {"workspace": name}) for name in ("other", "nobody-has-this")]
    assert refusals[0] == refusals[1]
    assert (refusals[0][0], refusals[0][1]["error"]["code"]) == (403, "Workspace.AccessDenied")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"scopes": ["root"]}, None),
        ({"scope": ["chat"]}, None),
        ({"models": "qwen-long"}, None),
        ({"scopes": []}, "scopes"),
        ({"name": "\u0000"}, "name"),
        ({"expires_at": NOW + 60, "expires_in_s": 60}, "expires_at"),
        ({"expires_at": 10**18}, "expires_at"),
        ({"expires_at": -(10**18)}, "expires_at"),
        ({"expires_in_s": 10**18}, "expires_at"),
        ({"expires_in_s": -1}, "expires_at"),
    ],
)
def test_what_cannot_be_is_400_and_makes_no_key(service: WireService, body: dict[str, object], param: str) -> None:
    n_before = len(ask(service, "GET", KEYS)[1]["data"])
    status, refusal = ask(service, "POST", KEYS, body)
    assert (status, refusal["error"]["param"]) == (400, param)
    assert len(ask(service, "GET", KEYS)[1]["data"]) == n_before


def test_a_misspelled_field_is_named(service: WireService) -> None:
    assert "`scope`" in ask(service, "POST", KEYS, {"scope": ["chat"]})[1]["error"]["message"]


@pytest.mark.parametrize("overlap_s", [-1, 10**18])
def test_an_overlap_out_of_range_is_400(service: WireService, overlap_s: int) -> None:
    key = made(service)
    status, refusal = ask(service, "POST", f"{KEYS}/{key['id']}/rotate", {"overlap_s": overlap_s})
    assert (status, refusal["error"]["param"]) == (400, "overlap_s")
