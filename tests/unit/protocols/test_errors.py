from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from factories.requests import make_request
from longscroll import errors
from longscroll.protocols.dashscope import errors as native
from longscroll.protocols.openai import errors as compat


def tree(root: type[errors.LongscrollError]) -> Iterator[type[errors.LongscrollError]]:
    yield root
    for kind in root.__subclasses__():
        if kind is not errors.StartupError and kind.__module__ == errors.__name__:
            yield from tree(kind)


KINDS = set(tree(errors.LongscrollError))


@pytest.mark.item(77)
def test_every_error_has_its_row_on_both_surfaces() -> None:
    assert set(compat.ROWS) == set(native.ROWS) == KINDS


@pytest.mark.item(58)
def test_both_surfaces_give_the_same_status_but_for_a_missing_file() -> None:
    differing = {kind for kind in KINDS if compat.ROWS[kind].status != native.ROWS[kind].status}
    assert differing == {errors.FileNotFound}


@pytest.mark.item(41, 58)
@pytest.mark.parametrize("error", [errors.InvalidFile("x"), errors.EngineFailed("x"), ValueError("x"), KeyError()])
def test_no_string_of_an_error_is_null_or_empty(error: Exception) -> None:
    request = make_request()
    native_body = msgspec.json.decode(native.refuse(request, error).body)
    compat_body = msgspec.json.decode(compat.refuse(request, error).body)
    assert all(isinstance(value, str) and value for value in native_body.values())
    assert all(compat_body["error"][name] for name in ("code", "message", "type"))


def test_what_is_not_of_the_tree_tells_nothing() -> None:
    replies = [surface.refuse(make_request(), ValueError("secret")) for surface in (compat, native)]
    assert [(reply.status, b"secret" in reply.body) for reply in replies] == [(500, False), (500, False)]


def test_a_subclass_from_elsewhere_has_the_row_of_its_parent() -> None:
    class Slow(errors.EngineTimeout):
        pass

    assert native.row_of(Slow("x")) is native.ROWS[errors.EngineTimeout]


@pytest.mark.item(107)
@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (errors.EngineOverloaded("x", retry_after_s=7), b"7"),
        (errors.Overloaded("x"), b"1"),
        (errors.FileNotParsed("x"), b"2"),
        (errors.ModelUnavailable(), b"5"),
    ],
)
def test_who_may_try_again_is_told_when(error: Exception, seconds: bytes) -> None:
    for surface in (compat, native):
        assert surface.refuse(make_request(), error).headers == ((b"retry-after", seconds),)


def test_the_param_of_an_error_is_the_field_to_blame() -> None:
    body = compat.error_body(make_request(), errors.InvalidParameter("x", param="top_p"))
    assert body.error.param == "top_p"
