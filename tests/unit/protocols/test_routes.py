from __future__ import annotations

import pytest

from factories.routes import all_routes
from longscroll.protocols.exchange import Route


@pytest.fixture
def table() -> tuple[Route, ...]:
    return all_routes()


@pytest.mark.item(15)
def test_only_health_is_open(table: tuple[Route, ...]) -> None:
    assert {route.path for route in table if route.is_open} == {"/healthz", "/readyz", "/openapi.json"}


def test_no_row_stands_twice(table: tuple[Route, ...]) -> None:
    rows = [(route.method, route.path) for route in table]
    assert len(rows) == len(set(rows))


def test_what_writes_needs_a_right_to_write(table: tuple[Route, ...]) -> None:
    scopes = {(route.method, route.path.rpartition("/v1")[2]): route.scope for route in table if not route.is_open}
    assert {scope for (method, _), scope in scopes.items() if method in ("POST", "DELETE")} == {
        "chat",
        "files:write",
        "admin",
    }
    assert {path for (_, path), scope in scopes.items() if scope is None} == {"/models", "/models/{name...}"}


@pytest.mark.item(113)
def test_the_alias_has_every_row_of_the_compat_surface(table: tuple[Route, ...]) -> None:
    def rows(base: str) -> set[tuple[str, str]]:
        return {(route.method, route.path.removeprefix(base)) for route in table if route.path.startswith(f"{base}/")}

    assert rows("/v1") == rows("/compatible-mode/v1") != set()


def test_every_row_with_a_body_names_its_type(table: tuple[Route, ...]) -> None:
    assert {route.method for route in table if route.request is not None} == {"POST"}
    bodiless = [route.path for route in table if route.method == "POST" and route.request is None]
    assert [path for path in bodiless if not path.endswith("/cancel")] == []
