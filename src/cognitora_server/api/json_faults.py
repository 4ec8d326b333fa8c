"""Says in which field of a refused JSON body the fault is, where the parser knows only line and column."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

#: Looking for the fault takes time, and people read about it: a large body gets line and column only.
MOST_BYTES = 1 << 20
_MOST_DIGITS = 400
_MOST_DEPTH = 100


class _Fault(str):
    """What is wrong, in place of the value."""


def fault_of(raw: bytes) -> tuple[str, str] | None:
    """Return the field and what is wrong with it; None if that cannot be told."""
    if len(raw) > MOST_BYTES:
        return None
    try:
        value = json.loads(raw, parse_constant=_constant, parse_int=_integer, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return None
    return next(_faults(value, "", 0), None)


def _constant(name: str) -> _Fault:
    return _Fault(f"must be a finite number, not {name}")


def _integer(digits: str) -> int | _Fault:
    return int(digits) if len(digits) <= _MOST_DIGITS else _Fault("is too large a number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        fields[name] = _Fault("is given twice") if name in fields else value
    return fields


def _faults(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, _Fault):
        yield path, value
    elif isinstance(value, str) and not _well_formed(value):
        yield path, "must be valid Unicode: it holds half of a surrogate pair"
    elif depth < _MOST_DEPTH and isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in items:
            inner = f"[{name}]" if isinstance(name, int) else f"{'.' if path else ''}{ascii(name)[1:-1][:80]}"
            if isinstance(name, str) and not _well_formed(name):
                yield path + inner, "must be valid Unicode: its name holds half of a surrogate pair"
            yield from _faults(item, path + inner, depth + 1)


def _well_formed(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
