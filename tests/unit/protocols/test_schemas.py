"""Types that only we encode, and types that hold themselves, are described all the same."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType
from openapi_schema_validator import OAS31Validator

from longscroll.protocols.dashscope.schema import ErrorBody as NativeErrorBody
from longscroll.protocols.openai.schema import ErrorBody
from longscroll.protocols.schemas import Schemas
from longscroll.services.script import Script


class Leaf(Struct):
    """A leaf."""

    name: str
    weight: float | UnsetType = UNSET


class Fork(Struct):
    """A fork."""

    branches: list[Fork]


class Tree(Struct):
    """A tree."""

    tops: tuple[Leaf | Fork, ...]
    fork: Fork | None = None


def problems(kind: Any, value: object) -> list[str]:
    schemas = Schemas()
    schema = {**schemas.of(kind), "components": {"schemas": schemas.components()}}
    return [error.message for error in OAS31Validator(schema).iter_errors(value)]


def test_one_of_several_structs_is_described() -> None:
    assert problems(Tree, {"tops": [{"name": "a"}, {"name": "b", "weight": 1.5}, {"branches": []}]}) == []
    assert problems(Tree, {"tops": [{"nothing": 1}]}) != []


def test_a_type_that_holds_itself_is_described_by_its_name() -> None:
    assert problems(Fork, {"branches": [{"branches": []}]}) == []
    assert problems(Fork, {"branches": [{"branches": [3]}]}) != []


def test_types_of_one_name_are_told_apart_by_their_surface() -> None:
    schemas = Schemas()
    names = [schemas.of(ErrorBody)["$ref"], schemas.of(NativeErrorBody)["$ref"]]
    assert names == ["#/components/schemas/ErrorBody", "#/components/schemas/DashScopeErrorBody"]
    assert {"ErrorBody", "DashScopeErrorBody", "ErrorDetails"} <= set(schemas.components())


def test_the_script_of_a_tested_service_is_described() -> None:
    assert problems(Script, {"rule": [{"deltas": ["hi"]}], "file": [{"stuck": True}]}) == []
