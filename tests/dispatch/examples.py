"""One example of every kind of event, every field filled, made from the structs themselves so that none is forgotten."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import inspect

from dispatch.events import KINDS, AnyEvent

T0 = datetime(2026, 3, 1, 3, 0, 0, 123456, tzinfo=UTC)


def _value(kind: inspect.Type, name: str) -> Any:
    match kind:
        case inspect.UnionType():
            return _value(next(t for t in kind.types if not isinstance(t, inspect.NoneType)), name)
        case inspect.StructType():
            return {f.encode_name: _value(f.type, f.encode_name) for f in kind.fields}
        case inspect.ListType() | inspect.FrozenSetType() | inspect.VarTupleType():
            return [_value(kind.item_type, name)]
        case inspect.DictType():
            return {"sadar": _value(kind.value_type, name)}
        case inspect.EnumType():
            return next(iter(kind.cls)).value
        case inspect.DateTimeType():
            return T0
        case inspect.IntType():
            return 2
        case inspect.FloatType():
            return 0.1 + 0.2
        case inspect.BoolType():
            return True
        case inspect.StrType():
            return f"{name} – é"
        case _:
            raise AssertionError(f"no example for {kind} of {name}")


def example(struct: type[Any]) -> Any:
    """An instance with every field filled."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    fields = {f.encode_name: _value(f.type, f.encode_name) for f in info.fields}
    if info.tag is not None:
        fields[str(info.tag_field)] = info.tag
    return msgspec.convert(fields, struct)


def examples() -> list[AnyEvent]:
    """One event of every kind."""
    return [example(struct) for struct in KINDS.values()]
