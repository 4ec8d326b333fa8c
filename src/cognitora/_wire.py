"""From arguments to the wire's JSON, paths and queries; and back from lists."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any, TypeVar
from urllib.parse import quote

from .inputs import FileUpload, Secret
from .records import Page

T = TypeVar("T")

Files = Sequence[FileUpload | Mapping[str, str]]

#: How long containers live by default (the documentation's numbers).
ONE_SHOT_SECONDS = 300
PERSISTENT_SECONDS = 86_400

MAX_KEY = 255

#: A budget that the client works out covers this much more than the lifetime, so that the lifetime ends it first.
BUDGET_MARGIN_SECONDS = 60


def path(*parts: str) -> str:
    """Return the path below /api/v1/compute. Raises ValueError for an empty id."""
    for part in parts:
        if not part:
            raise ValueError("The id is empty. Ids begin with cnt_ (containers) or exec_ (executions).")
    return "/api/v1/compute/" + "/".join(quote(part, safe="") for part in parts)


def given(**fields: Any) -> dict[str, Any]:
    """Return what is not None, in the wire's form."""
    return {name: _plain(value) for name, value in fields.items() if value is not None}


def key(given: str | None) -> str:
    """Return the caller's idempotency key, or a new one. Raises ValueError for one that no server takes."""
    if given is None:
        return uuid.uuid4().hex
    if not 1 <= len(given) <= MAX_KEY or not (given.isascii() and given.isprintable()):
        raise ValueError(f"idempotency_key must be 1 to {MAX_KEY} printable ASCII characters.")
    return given


def file_list(files: Files | None) -> list[dict[str, Any]] | None:
    """Return files as the wire spells them; no files are None."""
    return [asdict(file) if isinstance(file, FileUpload) else dict(file) for file in files or ()] or None


def metadata_query(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Return the query that filters by metadata."""
    return {f"metadata[{name}]": value for name, value in (metadata or {}).items()}


def page(kind: Callable[[Mapping[str, Any]], T], answer: Mapping[str, Any]) -> Page[T]:
    """Return the page that an answer holds."""
    return Page((kind(item) for item in answer["executions"]), answer["total"], answer["limit"], answer["offset"])


def own(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer without its copy under `data`."""
    return {name: value for name, value in answer.items() if name != "data"}


def lifetime_seconds(timeout_seconds: int | None, expires_at: str | datetime | None, persistent: bool) -> int:
    """Return how long a container of these arguments may live. Raises ValueError for a time that is none."""
    if expires_at is not None:
        moment = datetime.fromisoformat(expires_at) if isinstance(expires_at, str) else expires_at
        # As the server reads it: a time without a zone is UTC.
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return max(1, int((moment - datetime.now(UTC)).total_seconds()))
    return timeout_seconds or (PERSISTENT_SECONDS if persistent else ONE_SHOT_SECONDS)


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return {"value": value.value, "secret": True}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if not isinstance(value, datetime):
        return value.isoformat() if isinstance(value, date) else value
    if value.tzinfo is None:
        raise ValueError("A time needs a zone, such as datetime.now(UTC) + timedelta(hours=1).")
    return value.isoformat()
