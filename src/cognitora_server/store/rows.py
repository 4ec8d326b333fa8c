"""Between rows and domain types: the only place that knows both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from cognitora_server.domain.containers import (
    Activity,
    Container,
    ContainerStatus,
    ContainerType,
    End,
    Isolation,
    PortMapping,
    Reason,
    Usage,
)
from cognitora_server.domain.credits import Prices
from cognitora_server.domain.executions import Execution, ExecutionStatus
from cognitora_server.domain.meters import Meter
from cognitora_server.domain.resources import Resources

from .outputs import row_output

#: What a row takes in the database, with its entries in indexes, beside the texts that differ in length (bytes).
_CONTAINER_BYTES, _EXECUTION_BYTES = 2_000, 800

#: The states of containers that have not ended.
UNENDED = [status for status in ContainerStatus if not status.final]


def container_values(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return column values for fields of a container."""
    values = {name: _plain(value) for name, value in changes.items()}
    if "secrets" in values:
        values["secrets"] = values["secrets"] or None
    return values


def execution_values(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return column values for fields of an execution; its output is the caller's to pack."""
    return {name: _plain(value) for name, value in changes.items() if name != "output"}


def container_size(container: Container) -> int:
    """Return about how many bytes a container's row takes."""
    said = (container.command, dict(container.environment), dict(container.metadata), dict(container.secrets))
    return _CONTAINER_BYTES + len(json.dumps(said))


def execution_size(execution: Execution) -> int:
    """Return about how many bytes an execution's row takes, without its output."""
    return _EXECUTION_BYTES + len(json.dumps((execution.image, execution.command, execution.working_directory)))


def _plain(value: Any) -> Any:
    if isinstance(value, (Resources, PortMapping, Usage, End, Prices, Meter)):
        return asdict(value)
    if isinstance(value, Activity):
        return asdict(value) | {"at": value.at.isoformat()}
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    return value


def container_of(row: Row[Any]) -> Container:
    """Return the container that a row holds."""
    fields = dict(row._mapping)
    fields["command"] = None if fields["command"] is None else tuple(fields["command"])
    fields["container_type"] = ContainerType(fields["container_type"])
    fields["resources"] = Resources(**fields["resources"])
    fields["port_mapping"] = PortMapping(**fields["port_mapping"]) if fields["port_mapping"] else None
    fields["wanted_end"] = _end(fields["wanted_end"])
    fields["status"] = ContainerStatus(fields["status"])
    fields["end"] = _end(fields["end"])
    fields["isolation"] = Isolation(fields["isolation"]) if fields["isolation"] else None
    del fields["size"]
    fields["usage"] = Usage(**fields["usage"])
    fields["secrets"] = fields["secrets"] or {}
    fields["activity"] = _activity(fields["activity"])
    fields["prices"] = Prices(**fields["prices"])
    fields["meter"] = Meter(**fields["meter"])
    return Container(**fields)


def _end(value: dict[str, Any] | None) -> End | None:
    if value is None:
        return None
    return End(ContainerStatus(value["status"]), Reason(value["reason"]), value["message"], value["exit_code"])


def _activity(value: dict[str, Any] | None) -> Activity | None:
    return Activity(**value | {"at": datetime.fromisoformat(value["at"])}) if value else None


def execution_of(row: Row[Any]) -> Execution:
    """Return the execution that a row holds."""
    fields = dict(row._mapping)
    fields.pop("content", None)
    fields["command"] = tuple(fields["command"])
    fields["status"] = ExecutionStatus(fields["status"])
    fields["output"] = row_output(fields)
    del fields["size"]
    return Execution(**fields)
