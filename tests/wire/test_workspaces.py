"""Who may name which workspace, and which models a key is for, over a socket."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from factories.wire import FAST, FOREIGN_KEY, KEY, NARROW_KEY, Reply, WireService, wire_service

CHAT = "/compatible-mode/v1/chat/completions"
GENERATION = "/api/v1/services/aigc/text-generation/generation"
HELLO = b'{"model":"qwen-long","messages":[{"role":"user","content":"hi"}]}'
PROMPT = b'{"model":"qwen-long","input":{"prompt":"hi"}}'
CALLS = [("POST", CHAT, HELLO), ("POST", GENERATION, PROMPT), ("GET", "/v1/files", b""), ("GET", "/api/v1/files", b"")]
BOTH = [("/v1", "model_not_found"), ("/api/v1", "ModelNotFound")]


def statuses(service: WireService, workspace: str, key: str = KEY) -> set[int]:
    header = f"X-DashScope-WorkSpace: {workspace}"
    return {service.exchange(method, path, body, header, key=key).status for method, path, body in CALLS}


def without_time(reply: Reply) -> Reply:
    return replace(reply, headers={name: value for name, value in reply.headers.items() if name != "req-cost-time"})


@pytest.mark.item(110)
@pytest.mark.parametrize("workspace", ["acme", "other", "nobody-has-this", ""])
def test_the_workspace_of_a_header_is_ignored_unless_it_is_to_be_enforced(service: WireService, workspace: str) -> None:
    assert statuses(service, workspace) == {200}


@pytest.mark.item(110)
def test_where_it_is_enforced_a_key_opens_its_own_workspace_only() -> None:
    with wire_service(replace(FAST, workspace_header="enforce")) as service:
        own = statuses(service, " acme ") | statuses(service, "other", FOREIGN_KEY) | statuses(service, "")
        assert own == {200}
        assert statuses(service, "other") == statuses(service, "ACME") == statuses(service, "nobody-has-this") == {404}


@pytest.mark.item(110)
def test_a_foreign_workspace_is_answered_as_a_missing_one_in_the_words_of_each_surface() -> None:
    with wire_service(replace(FAST, workspace_header="enforce")) as service:
        for method, path, body in CALLS:
            foreign, missing = (
                service.exchange(method, path, body, f"X-DashScope-WorkSpace: {name}") for name in ("other", "nobody")
            )
            assert without_time(foreign) == without_time(missing)
            refusal = json.loads(foreign.body)
            refusal = refusal.get("error", refusal)
            assert (refusal["code"], refusal["message"]) == ("WorkSpaceNotFound", "WorkSpace can not be found.")


@pytest.mark.item(110)
def test_an_unknown_key_is_refused_before_the_workspace_it_names() -> None:
    with wire_service(replace(FAST, workspace_header="enforce")) as service:
        assert statuses(service, "other", "sk-unknown") == {401}


@pytest.mark.item(91)
def test_the_lists_show_a_key_the_models_it_is_for(service: WireService) -> None:
    compat = json.loads(service.exchange("GET", "/v1/models", key=NARROW_KEY).body)
    native = json.loads(service.exchange("GET", "/api/v1/models", key=NARROW_KEY).body)["output"]
    assert [model["id"] for model in compat["data"]] == ["other-model"]
    assert (native["total"], [model["name"] for model in native["models"]]) == (1, ["other-model"])


@pytest.mark.item(91)
@pytest.mark.parametrize(("base", "code"), BOTH)
def test_a_model_that_a_key_is_not_for_is_shown_as_one_that_is_not_there(
    service: WireService, base: str, code: str
) -> None:
    forbidden, missing = (
        service.exchange("GET", f"{base}/models/{name}", key=NARROW_KEY) for name in ("qwen-long", "qwen-none")
    )
    assert (forbidden.status, forbidden.body.replace(b"qwen-long", b"qwen-none")) == (404, missing.body)
    assert code.encode() in forbidden.body
