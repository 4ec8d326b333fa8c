"""Results that are read by attribute and by key.

By key a record is the JSON that the server sent, in snake_case (camelCase keys are understood too), so it can be
printed, stored and sent on. By attribute it is Python: times are `datetime` objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, lru_cache, partial
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    SupportsIndex,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

T = TypeVar("T")


@lru_cache(maxsize=1024)
def to_snake(name: str) -> str:
    """Return a name in snake_case: `cpuCores` and `cpu_cores` are the same."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def record(cls: type[T]) -> type[T]:
    """Make the annotations of a Record its fields; `dataclasses.asdict` and `fields` work on it."""
    return dataclass(init=False, repr=False, eq=False)(cls)


class Record(dict[str, Any]):
    """A JSON object. A declared field that the server did not send reads as None."""

    if TYPE_CHECKING:  # so that type checkers allow asdict and fields
        __dataclass_fields__: ClassVar[dict[str, Any]]

    def __init__(self, fields: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        super().__init__()
        for name, value in {**(fields or {}), **more}.items():
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        name = to_snake(name)
        nest = _kinds(type(self)).get(name, _AS_IT_IS).nest
        super().__setitem__(name, nest(value))

    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(to_snake(name))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(to_snake(name))

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or `default` where there is none."""
        return super().get(to_snake(name), default)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.items())})"

    def __dir__(self) -> Iterable[str]:
        return {*super().__dir__(), *_kinds(type(self)), *self}

    if not TYPE_CHECKING:  # type checkers are to know the declared fields only

        def __getattr__(self, name: str) -> Any:
            kinds = _kinds(type(self))
            if name in kinds:
                return kinds[name].read(self.get(name))
            if not name.startswith("_") and name in self:
                return self[name]
            raise AttributeError(f"{type(self).__name__} has no field {name!r}; it has {', '.join(self)}.")


class Page(list[T]):
    """One page of a list: a list, also with `total` (on all pages), `limit` and `offset`."""

    #: What is also read by key.
    names: ClassVar[tuple[str, ...]] = ("total", "limit", "offset")

    def __init__(self, items: Iterable[T], total: int, limit: int, offset: int) -> None:
        super().__init__(items)
        self.total = total
        self.limit = limit
        self.offset = offset

    @property
    def executions(self) -> list[T]:
        """The items, by the name that they have on the wire, of containers too."""
        return list(self)

    @overload
    def __getitem__(self, key: SupportsIndex) -> T: ...
    @overload
    def __getitem__(self, key: slice) -> list[T]: ...
    @overload
    def __getitem__(self, key: str) -> Any: ...
    def __getitem__(self, key: SupportsIndex | slice | str) -> Any:
        """Return an item, or by name: executions, data (the same), total, limit, offset."""
        if not isinstance(key, str):
            return super().__getitem__(key)
        if key in ("executions", "data"):
            return self.executions
        if key in self.names:
            return getattr(self, key)
        raise KeyError(key)


@dataclass(frozen=True)
class _Kind:
    """What becomes of a field's JSON: `nest` when it is stored, `read` when it is read as an attribute."""

    nest: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


_AS_IT_IS = _Kind(_same, _same)


def _moment(kind: type[date], value: Any) -> Any:
    return kind.fromisoformat(value) if isinstance(value, str) else value


def _nested(kind: type[Record], value: Any) -> Any:
    return kind(value) if isinstance(value, Mapping) else value


@cache
def _kinds(cls: type[Record]) -> Mapping[str, _Kind]:
    return {name: _kind(hint) for name, hint in get_type_hints(cls).items()}


def _kind(hint: Any) -> _Kind:
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    for option in options:
        if option in (date, datetime):
            return _Kind(_same, partial(_moment, option))
        if isinstance(option, type) and issubclass(option, Record):
            return _Kind(partial(_nested, option), _same)
    return _AS_IT_IS
