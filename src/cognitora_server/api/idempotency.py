"""Idempotency-Key: the same request, sent again, is answered with the first answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from ..domain.errors import CognitoraError, InvalidRequest
from .answers import JsonAnswer
from .errors import error_answer
from .ports import Idempotency

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
MAX_KEY = 255

#: These say 'not now': the next try with the key does the work.
_NOT_KEPT = (402, 429)


def idempotency_key(request: Request) -> str | None:
    """Return the request's key, if it has one."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    key = given[0]
    if len(given) > 1 or not 1 <= len(key) <= MAX_KEY or not (key.isascii() and key.isprintable()):
        raise InvalidRequest(f"{HEADER} must be one text of 1 to {MAX_KEY} printable ASCII characters.", field=HEADER)
    return key


async def once(
    answers: Idempotency,
    account_id: str,
    key: str,
    fingerprint: str,
    request_id: str,
    work: Callable[[], Awaitable[Response]],
    again: Callable[[str], Awaitable[Response]] | None = None,
) -> Response:
    """Do `work`, or give the answer it gave the first time; a failure of the server is forgotten.

    What `work` made before it could answer (the server was killed) is not made again: `again` answers with its id.
    """
    claim = await answers.claim(account_id, key, fingerprint)
    if claim.answer is not None:
        return JsonAnswer(claim.answer.body, claim.answer.status, {REPLAYED: "true"})
    try:
        if claim.made is None or again is None:
            answer = await _answered(work, request_id)
        else:
            answer = await _answered(partial(again, claim.made), request_id)
            answer.headers[REPLAYED] = "true"
        if answer.status_code < 500 and answer.status_code not in _NOT_KEPT:
            await answers.finish(account_id, key, answer.status_code, bytes(answer.body))
            return answer
    except BaseException:
        await answers.abandon(account_id, key)
        raise
    await answers.abandon(account_id, key)
    return answer


async def _answered(work: Callable[[], Awaitable[Response]], request_id: str) -> Response:
    # Refusals of the control layer are answers too, and kept.
    try:
        return await work()
    except CognitoraError as error:
        return error_answer(error, request_id)
