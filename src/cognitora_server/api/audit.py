"""The route of the audit log."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from . import examples
from .answers import JsonAnswer
from .auth import Api, Caller
from .documentation import documented
from .schemas.audit import AuditListAnswer, AuditOut, AuditQuery
from .validation import validate_query

router = APIRouter(tags=["audit"])


@router.get(
    "/audit",
    **documented(
        "List who did what",
        "One page of the account's audit log, newest first: every request that was to change something, with the key "
        "it came with and how it was answered, and what the server's operator did with the account's keys.",
        answer=AuditListAnswer,
        example=examples.AUDIT_LIST,
        query=AuditQuery,
    ),
)
async def list_audit(request: Request, account: Caller, api: Api) -> Response:
    """List who did what."""
    query = validate_query(AuditQuery, request.query_params.multi_items())
    listing = await api.audit.list(query.to_domain(account.id), query.page())
    entries = [AuditOut.of(entry) for entry in listing.items]
    return JsonAnswer(AuditListAnswer(entries=entries, total=listing.total, limit=query.limit, offset=query.offset))
