"""The way of a request with a body: read, checked, and done once per Idempotency-Key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from ..domain.accounts import Account
from ..domain.errors import NotFound
from ..domain.ids import CONTAINER, EXECUTION, is_id
from .auth import services_of
from .bodies import Bodies
from .errors import request_id_of
from .idempotency import idempotency_key, once
from .schemas.base import WireRequest

Wanted = TypeVar("Wanted", bound=WireRequest)
Asked = TypeVar("Asked")


async def call(
    request: Request,
    account: Account,
    model: type[Wanted],
    convert: Callable[[Wanted], Asked],
    work: Callable[[Asked], Awaitable[Response]],
    again: Callable[[str], Awaitable[Response]] | None = None,
) -> Response:
    """Read the body as `model`, convert it to domain values (in a thread if it is large), and answer with `work`.

    A POST is done only once per Idempotency-Key; `again` answers with the id of what an interrupted one has made.

    A body of the wrong form is refused before the key counts: it can be sent again, mended, with the same key.
    """
    key = idempotency_key(request) if request.method == "POST" else None
    bodies: Bodies = request.app.state.bodies
    async with bodies.read(request) as body:
        fingerprint = "" if key is None else await body.fingerprint(request.method, request.url.path)
        asked = await body.parse(model, convert)
        if key is None:
            return await work(asked)
        answers = services_of(request).idempotency
        return await once(answers, account.id, key, fingerprint, request_id_of(request), lambda: work(asked), again)


def known_container_id(text: str) -> str:
    """Return `text` if a container could have this id; anything else never reaches the store."""
    if not is_id(text, CONTAINER):
        raise NotFound(f"There is no container {text[:60]!a}.")
    return text


def known_execution_id(text: str) -> str:
    """Return `text` if an execution could have this id; anything else never reaches the store."""
    if not is_id(text, EXECUTION):
        raise NotFound(f"There is no execution {text[:60]!a}.")
    return text
