"""JSON Schema of the wire types, under names that need no module.

msgspec describes what it can decode; a reply may also hold one of several untagged structs, which only we encode. So
every struct is described by a twin in which such a union is an ``anyOf``. Knows no route.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, Struct
from msgspec.structs import FieldInfo

REFERENCE = "#/components/schemas/{name}"

_PREFIXES = {".dashscope.": "DashScope"}
"""What names of a package are told apart by, where two surfaces have types of one name."""


_SHOWN = (str, int, float, type(None), type(UNSET))
"""Types of defaults that a description shows; others are there, and not shown."""


class Schemas:
    """Collects types and describes them together, each once."""

    def __init__(self) -> None:
        self._twins: dict[type, type] = {}
        self._begun: set[type] = set()  # types whose twin is being made; inside it they are known by name

    def of(self, kind: Any) -> dict[str, Any]:
        """Return a reference to a struct, or the schema of any other type."""
        [schema], _ = msgspec.json.schema_components([self._plain(kind)], ref_template=REFERENCE)
        return schema

    def components(self) -> Mapping[str, Any]:
        """Return the schemas of all structs so far by name."""
        _, components = msgspec.json.schema_components(list(self._twins.values()), ref_template=REFERENCE)
        return dict(sorted(components.items()))

    def _plain(self, kind: Any) -> Any:
        """Return a type that msgspec can describe, and that says the same."""
        if kind in self._begun:
            return Annotated[Any, Meta(extra_json_schema={"$ref": REFERENCE.format(name=_name(kind))})]
        if isinstance(kind, type) and issubclass(kind, Struct):
            return self._twin(kind)
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return Annotated[(self._plain(arguments[0]), *arguments[1:])]
        if origin in (Union, types.UnionType):
            return self._union([self._plain(argument) for argument in arguments])
        if origin in (tuple, list, dict, frozenset, set):
            return origin[tuple(self._plain(argument) for argument in arguments)]
        return kind

    def _union(self, members: list[Any]) -> Any:
        structs = [member for member in members if isinstance(member, type) and issubclass(member, Struct)]
        others = [member for member in members if member not in structs]
        if len(structs) < 2:
            return Union[tuple(members)]  # noqa: UP007 - of values
        choices = [{"$ref": REFERENCE.format(name=struct.__name__)} for struct in structs]
        if type(None) in others:
            choices.append({"type": "null"})
        either = Annotated[Any, Meta(extra_json_schema={"anyOf": choices})]
        return either | msgspec.UnsetType if msgspec.UnsetType in others else either

    def _twin(self, kind: type[Struct]) -> type:
        if kind not in self._twins:
            self._begun.add(kind)
            config = kind.__struct_config__
            self._twins[kind] = msgspec.defstruct(
                _name(kind),
                [self._field(field) for field in msgspec.structs.fields(kind)],
                namespace={"__doc__": kind.__doc__},
                tag=config.tag,
                tag_field=config.tag_field,
                forbid_unknown_fields=config.forbid_unknown_fields,
                kw_only=True,
            )
            self._begun.remove(kind)
        return self._twins[kind]

    def _field(self, field: FieldInfo) -> tuple[Any, ...]:
        kind = self._plain(field.type)
        if field.required:
            return field.encode_name, kind
        if isinstance(field.default, _SHOWN):
            return field.encode_name, kind, field.default
        return field.encode_name, kind, msgspec.field(default_factory=lambda: field.default)


def _name(kind: type) -> str:
    prefix = next((prefix for part, prefix in _PREFIXES.items() if part in f"{kind.__module__}."), "")
    return prefix + kind.__name__
