"""Which requests go into the audit log, and what it says about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from starlette.requests import Request
from starlette.types import Scope

from ..domain.audit import Actor, AuditEntry
from ..domain.ids import AUDIT, new_id
from .ports import Services
from .record import RequestRecord, container_of

#: What each route that changes something is called in the audit log.
ACTIONS: Mapping[str, str] = {
    "create_container": "container.create",
    "update_container": "container.update",
    "cancel_container": "container.cancel",
    "execute_in_container": "container.exec",
    "write_file": "container.write_file",
}

#: They change nothing, though their method says so.
HARMLESS = frozenset({"estimate_cost"})

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def begin_audit(request: Request, record: RequestRecord, services: Services) -> None:
    """Begin the entry of a request whose caller is known, if it is to change something."""
    route = getattr(request.scope.get("route"), "name", "")
    if request.method in _READING or route in HARMLESS or record.caller is None:
        return
    record.audit = AuditEntry(
        id=new_id(AUDIT),
        at=services.clock.now(),
        actor=Actor.KEY,
        action=ACTIONS.get(route, route),
        account_id=record.caller.account.id,
        key_id=record.caller.key_id,
        key_name=record.caller.key_name,
        request_id=record.request_id,
        remote_address=record.remote_address,
        container_id=container_of(request.scope),
        details=record.details,  # filled in meanwhile
    )
    services.audit.begin(record.audit)


def finish_audit(scope: Scope, record: RequestRecord, status: int) -> None:
    """Finish the entry of a request, if it has one."""
    if record.audit is not None:
        services: Services = scope["app"].state.services
        services.audit.finish(
            replace(
                record.audit,
                container_id=record.container_id or record.audit.container_id,
                execution_id=record.execution_id,
                status=status,
                details=record.details,
            )
        )
