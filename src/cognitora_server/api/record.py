"""What becomes known about a request on its way: for its log line, the metrics, the audit log and its headers."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Any

from starlette.requests import Request
from starlette.types import Scope

from ..domain.accounts import Authenticated
from ..domain.audit import AuditEntry
from ..domain.ids import CONTAINER, is_id

#: The route of a request that no route matches: addresses are anybody's text and never become labels.
NO_ROUTE = "none"

_MAX_PROGRAM = 200


@dataclass(slots=True)
class RequestRecord:
    """One request. What is not known (yet) is None."""

    request_id: str
    remote_address: str | None
    caller: Authenticated | None = None
    container_id: str | None = None
    execution_id: str | None = None
    audit: AuditEntry | None = None
    details: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


def record_of(request: Request) -> RequestRecord:
    """Return the record of this request."""
    record: RequestRecord = request.scope["state"]["record"]
    return record


def note(
    request: Request,
    *,
    container_id: str | None = None,
    execution_id: str | None = None,
    program: str | None = None,
) -> None:
    """Write down what a request was about. `program` is a command's first word: its arguments may be secrets."""
    record = record_of(request)
    record.container_id = container_id or record.container_id
    record.execution_id = execution_id or record.execution_id
    if program is not None:
        record.details["program"] = program[:_MAX_PROGRAM]


def route_of(scope: Scope) -> str:
    """Return the route's template, such as `/api/v1/compute/containers/{container_id}`; never the address itself."""
    template: str | None = getattr(scope.get("route"), "path", None)
    if template is None:
        return NO_ROUTE
    # A router's routes do not know the prefix that it was included with; what is left of the address is that.
    within = template.format(**scope["path_params"])
    return str(scope["path"]).removesuffix(within) + template if scope["path"].endswith(within) else template


def container_of(scope: Scope) -> str | None:
    """Return the id of the container in the address, if there is one and it is an id."""
    text = scope.get("path_params", {}).get("container_id", "")
    return text if is_id(text, CONTAINER) else None


def remote_address(scope: Scope) -> str | None:
    """Return the address of the other side, by what a proxy on this host says about it; None if it is no address."""
    client = scope.get("client")
    try:
        address = ip_address(client[0]) if client else None
    except ValueError:
        return None
    # A server that listens on [::] sees IPv4 callers as IPv6: 127.0.0.1 is ::ffff:127.0.0.1 there.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address) if address else None
