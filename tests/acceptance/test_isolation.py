"""Nobody learns of another workspace: every route × everything that it can name × every kind of caller.

Made from the route table. A foreign id is answered as a missing one, byte for byte; what may be named is declared in
``factories.isolation``, and a route that is not foreseen there fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from msgspec import structs

from factories.http import Reply
from factories.isolation import (
    CANARY,
    KINDS,
    MODEL,
    OTHER_MODEL,
    QUERIES,
    SERVED_MODEL,
    Worlds,
    at,
    bodies_of,
    check_parameters,
    guarded_routes,
    kind_of,
    shown,
    two_worlds,
)
from factories.routes import all_routes
from longscroll.access.base import SCOPES
from longscroll.protocols.exchange import Route
from longscroll.protocols.told import text

pytestmark = pytest.mark.item(71)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    with two_worlds(tmp_path_factory.mktemp("isolation")) as worlds:
        yield worlds


def rows(routes: list[Route]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("route", routes, ids=lambda route: f"{route.method} {route.path}")


NAMING = [route for route in guarded_routes() if "{" in route.path]
LISTS = [route for route in guarded_routes() if route.method == "GET" and "{" not in route.path]
WITH_BODY = [route for route in guarded_routes() if route.request is not None]


def test_every_route_says_what_it_can_name() -> None:
    for route in all_routes():
        kind_of(route)
        bodies_of(route)
        check_parameters(route)


@pytest.mark.parametrize(
    ("ask", "path"),
    [
        (kind_of, "/v1/answers/{id}"),
        (kind_of, "/v1/files/{id}/pages/{number}"),
        (kind_of, "/{id}"),
        (bodies_of, "/v1/files/{id}/notes"),
        (bodies_of, "/v2/chat/completions"),
    ],
)
def test_a_route_that_nobody_foresaw_is_named(ask: Callable[[Route], object], path: str) -> None:
    with pytest.raises(AssertionError, match=f"^{re.escape(path)}: "):
        ask(structs.replace(WITH_BODY[0], path=path))


def test_a_parameter_that_nobody_foresaw_is_named() -> None:
    with pytest.raises(AssertionError, match="declare 'owner'"):
        check_parameters(structs.replace(LISTS[0], parameters=(text("owner", "Whose."),)))


@rows(NAMING)
def test_a_foreign_id_in_a_path_is_as_one_that_is_missing(worlds: Worlds, route: Route) -> None:
    kind = kind_of(route)
    assert kind is not None
    foreign, missing = worlds.foreign(kind), KINDS[kind].missing
    for method in (route.method, "HEAD") if route.method == "GET" else (route.method,):
        replies = [worlds.stranger.request(method, at(route, name)) for name in (foreign, missing)]
        assert shown(replies[0], foreign) == shown(replies[1], missing)


@rows([route for route in NAMING if KINDS[kind_of(route) or ""].make is not None])
def test_another_key_of_the_same_workspace_sees_what_the_stranger_did_not(worlds: Worlds, route: Route) -> None:
    kind = kind_of(route) or ""
    own, missing = worlds.fresh(kind) or "", KINDS[kind].missing
    worlds.stranger.request(route.method, at(route, own))
    replies = [worlds.neighbor.request(route.method, at(route, name)) for name in (own, missing)]
    assert shown(replies[0], own) != shown(replies[1], missing)
    assert replies[0].status < 300 or route.method == "POST"  # what has ended cannot be canceled


@rows(LISTS)
def test_no_list_shows_anything_of_another_workspace(worlds: Worlds, route: Route) -> None:
    ids = [worlds.foreign(kind) for kind, (_, make) in KINDS.items() if make is not None]
    page = worlds.stranger.request("GET", f"{route.path}?page_size=100&limit=100").body.decode()
    assert [name for name in (CANARY, *ids) if name in page] == []


@rows(LISTS)
@pytest.mark.parametrize(("name", "kind"), QUERIES)
def test_a_foreign_id_in_a_query_is_as_one_that_is_missing(worlds: Worlds, route: Route, name: str, kind: str) -> None:
    foreign, missing = worlds.foreign(kind), KINDS[kind].missing
    replies = [worlds.stranger.request("GET", f"{route.path}?{name}={value}") for value in (foreign, missing)]
    assert shown(replies[0], foreign) == shown(replies[1], missing)


@rows(WITH_BODY)
def test_a_foreign_id_in_a_body_is_as_one_that_is_missing(worlds: Worlds, route: Route) -> None:
    for body in bodies_of(route):
        if body.kind is None:
            continue
        foreign, missing = worlds.foreign(body.kind), KINDS[body.kind].missing
        replies = [post(worlds, route, body.make(MODEL, name)) for name in (foreign, missing)]
        assert shown(replies[0], foreign) == shown(replies[1], missing)
        assert replies[0].status >= 400


def post(worlds: Worlds, route: Route, body: dict[str, object]) -> Reply:
    return worlds.stranger.request(route.method, at(route, "nothing"), body)


@rows(WITH_BODY)
def test_what_a_body_names_is_found_by_another_key_of_the_same_workspace(worlds: Worlds, route: Route) -> None:
    for body in bodies_of(route):
        if body.kind is not None:
            named = body.make(MODEL, worlds.foreign(body.kind))
            assert worlds.neighbor.request(route.method, at(route, "nothing"), named).status == 200


@rows(WITH_BODY)
def test_a_key_is_for_its_models_on_every_route_that_names_one(worlds: Worlds, route: Route) -> None:
    for body in bodies_of(route):
        if body.names_model:
            refusal = post(worlds, route, body.make(OTHER_MODEL, None))
            assert (refusal.status, b"Model.AccessDenied" in refusal.body) == (403, True)


def test_an_upload_that_is_repeated_by_a_stranger_is_one_of_their_own(worlds: Worlds) -> None:
    owner, neighbor, stranger = (
        caller.send_file("notes.txt", b"The same text.", Idempotency_Key="once")
        for caller in (worlds.owner, worlds.neighbor, worlds.stranger)
    )
    assert {reply.status for reply in (owner, neighbor, stranger)} == {200}
    assert (neighbor.json["id"] == owner.json["id"], stranger.json["id"] == owner.json["id"]) == (True, False)


def test_a_model_server_is_told_which_prompts_may_share_a_cache(worlds: Worlds) -> None:
    callers = (worlds.owner, worlds.neighbor, worlds.stranger)
    assert {caller.chat(("user", "Who sings?"), model=SERVED_MODEL).status for caller in callers} == {200}
    own, neighbors, foreign = (body["cache_salt"] for body in worlds.model_server.requests)
    assert own == neighbors != foreign
    assert CANARY not in own


@pytest.mark.item(2, 3)
@rows(guarded_routes())
def test_who_has_no_valid_key_is_refused_in_the_same_words_whatever_became_of_it(worlds: Worlds, route: Route) -> None:
    refusals = {
        caller: shown(client.request(route.method, at(route, "nothing")), "nothing")
        for caller, client in worlds.refused.items()
    }
    assert {status for status, _, _ in refusals.values()} == {401}
    assert all(refusal == refusals["unknown"] for refusal in refusals.values())


@rows(guarded_routes())
def test_a_key_without_the_right_is_refused_and_one_with_nothing_else_is_not(worlds: Worlds, route: Route) -> None:
    path = at(route, "nothing")
    if route.scope is None:
        statuses = {worlds.only[scope].request(route.method, path).status for scope in SCOPES}
        assert not statuses & {401, 403}
        return
    assert worlds.without[route.scope].request(route.method, path).status == 403
    assert worlds.only[route.scope].request(route.method, path).status not in (401, 403)
