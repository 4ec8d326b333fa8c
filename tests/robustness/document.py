"""The server's own OpenAPI document, narrowed to what the server under test can give: then valid data are accepted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from schemathesis import openapi

#: A name that no image has, so that nothing is pulled and nothing boots.
NO_IMAGE = "localhost/no-such-image"

_NARROWED: Mapping[str, Mapping[str, Any]] = {
    "ContainerCreate": {
        "image": {"format": "unknown-image"},
        "cpuCores": {"maximum": 1},
        "memoryMb": {"maximum": 256},
        "storageGb": {"maximum": 1},
        "gpuCount": {"maximum": 0},
        "expiresAt": {"format": "coming-time"},
        "networking": {"const": False},
        "isolation": {"enum": ["auto", "gvisor", None]},
    },
    "ContainerUpdate": {"expiresAt": {"format": "coming-time"}},
}


def narrow(document: dict[str, Any]) -> None:
    """Put this server's limits into the document, and make the documented names the only ones."""
    schemas = document["components"]["schemas"]
    for operations in document["paths"].values():
        for operation in operations.values():
            _close(operation.get("requestBody", {}), schemas)
    for name, fields in _NARROWED.items():
        for field, limits in fields.items():
            _narrow(schemas[name]["properties"][field], limits)


def _close(value: Any, schemas: Mapping[str, Any]) -> None:
    """Refuse other names than the documented ones in everything that requests are made of."""
    if isinstance(value, dict):
        if "$ref" in value:
            _close(schemas[value["$ref"].rpartition("/")[2]], schemas)
        if "properties" in value and "title" in value:
            value["additionalProperties"] = False
        for item in value.values():
            _close(item, schemas)
    elif isinstance(value, list):
        for item in value:
            _close(item, schemas)


def _narrow(field: dict[str, Any], limits: Mapping[str, Any]) -> None:
    for option in field.get("anyOf", [field]):
        if option.get("type") != "null":
            option.update(limits)


def _coming() -> str:
    return (datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)).isoformat()


openapi.format("unknown-image", st.sampled_from([NO_IMAGE, f"{NO_IMAGE}:1", f"{NO_IMAGE}@sha256:{'0' * 64}"]))
openapi.format("coming-time", st.builds(_coming))
