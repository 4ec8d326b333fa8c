"""Containers on the wire: what is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from ...domain.containers import (
    ContainerChange,
    ContainerFilter,
    ContainerRequest,
    ContainerStatus,
    ContainerType,
    PortMapping,
)
from ...domain.images import MAX_REFERENCE_LENGTH
from ...domain.resources import Resources
from .base import (
    NO_NUL,
    Clean,
    Flag,
    Instant,
    Number,
    Seconds,
    Text,
    Whole,
    WireRequest,
    clean_text,
    left_open,
    wrong,
)
from .listing import PageQuery, choice
from .processes import Command, Environment, secrets, shown

MAX_NAME = 128
MAX_CREDITS = 1e12
MAX_METADATA = 50
MAX_METADATA_VALUE = 512

_METADATA_NAME = re.compile(r"^[A-Za-z0-9._/-]{1,64}$")
#: No control characters, line breaks and changes of direction: names are shown in terminals and tables.
_SHOWN = re.compile(r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]+$")

CpuCores = Annotated[Number, Field(ge=0.1, le=1024, description="CPU cores; a fraction is a share of one.")]
MemoryMb = Annotated[Whole, Field(ge=64, le=1 << 24, description="Memory in MiB.")]
IdleTimeout = Annotated[Seconds, Field(description="It ends after so many seconds without activity; default: never.")]
StorageGb = Annotated[Whole, Field(ge=1, le=1 << 20, description="Writable disk in GiB (default 5).")]


def _name(value: str) -> str:
    if not _SHOWN.fullmatch(value):
        raise wrong("must hold printable characters only, on one line")
    return value


def _metadata(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not _METADATA_NAME.fullmatch(name):
            raise wrong("must have names of 1 to 64 letters, digits, dots, dashes, underscores or slashes", name)
        if len(text) > MAX_METADATA_VALUE:
            raise wrong(f"must have at most {MAX_METADATA_VALUE} characters", name)
        if "\0" in text:
            raise wrong("must not hold a NUL character", name)
    return value


def _isolation(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Name = Annotated[
    Text,
    Field(min_length=1, max_length=MAX_NAME, json_schema_extra={"pattern": _SHOWN.pattern}),
    AfterValidator(_name),
]
Metadata = Annotated[
    dict[Text, Annotated[Text, Field(json_schema_extra={"maxLength": MAX_METADATA_VALUE, **NO_NUL})]],
    Field(max_length=MAX_METADATA, json_schema_extra={"propertyNames": {"pattern": _METADATA_NAME.pattern}}),
    AfterValidator(_metadata),
]


class PortMappingIn(WireRequest):
    """The port to publish."""

    container_port: Annotated[Whole, Field(ge=1, le=65535, description="The port the program listens on, on 0.0.0.0.")]
    protocol: Annotated[Literal["tcp", "udp"], BeforeValidator(_isolation)] = "tcp"


class ContainerCreate(WireRequest):
    """A container to create."""

    not_supported: ClassVar[Mapping[str, str]] = {
        "egress": "is not supported yet; networking is all or nothing",
        "portMappings": "is not supported yet; portMapping publishes one port",
    }

    image: Annotated[
        Text,
        Field(
            description="The image's name, as docker writes it.",
            json_schema_extra={"minLength": 1, "maxLength": MAX_REFERENCE_LENGTH},
        ),
    ]
    cpu_cores: CpuCores
    memory_mb: MemoryMb
    max_cost_credits: Annotated[
        Number,
        Field(gt=0, le=MAX_CREDITS, description="The container is ended before it costs more than this."),
    ]
    command: Annotated[
        Command | None,
        Field(description="The main command, in place of the image's own ENTRYPOINT and CMD."),
    ] = None
    persistent: Annotated[Flag, Field(description="Whether it outlives its main command.")] = False
    storage_gb: StorageGb | None = None
    gpu_count: Annotated[Whole, Field(ge=0, le=1024, description="More than the server has is refused.")] = 0
    timeout_seconds: Annotated[
        Seconds | None, Field(description="Lifetime in seconds; default 300, and 86400 if persistent.")
    ] = None
    expires_at: Annotated[
        Instant | None, Field(description="When it ends at the latest (UTC unless it says otherwise); goes first.")
    ] = None
    idle_timeout_seconds: IdleTimeout | None = None
    environment: Annotated[
        Environment,
        Field(default_factory=dict, description="Variables, beside the image's own. Secret ones are never shown."),
    ]
    networking: Annotated[Flag, Field(description="Outbound network access.")] = False
    port_mapping: Annotated[PortMappingIn | None, Field(description="Needs networking.")] = None
    isolation: Annotated[
        Literal["auto", "microvm", "gvisor", "container"],
        BeforeValidator(_isolation),
        Field(description="How it is separated from the host; auto takes the strongest there is."),
    ] = "auto"
    name: Annotated[Name | None, Field(description="For people; need not be unique.")] = None
    metadata: Annotated[
        Metadata, Field(default_factory=dict, description="Your own words; lists can be filtered by them.")
    ]

    def to_domain(self, default_storage_gb: int) -> ContainerRequest:
        """Return the request, checked as a whole."""
        if self.port_mapping is not None and not self.networking:
            raise wrong("needs networking: true", "portMapping")
        return ContainerRequest(
            image=self.image,
            resources=Resources(self.cpu_cores, self.memory_mb, self.storage_gb or default_storage_gb, self.gpu_count),
            max_cost_credits=self.max_cost_credits,
            command=None if self.command is None else tuple(self.command),
            persistent=self.persistent,
            environment=shown(self.environment),
            secrets=secrets(self.environment),
            networking=self.networking,
            port_mapping=self._port_mapping(),
            timeout_seconds=self.timeout_seconds,
            expires_at=self.expires_at,
            idle_timeout_seconds=self.idle_timeout_seconds,
            isolation=self.isolation,
            name=self.name,
            metadata=self.metadata,
        )

    def _port_mapping(self) -> PortMapping | None:
        mapping = self.port_mapping
        return None if mapping is None else PortMapping(mapping.container_port, mapping.protocol)


def _one_is_given(schema: dict[str, Any]) -> None:
    left_open(schema)
    schema["anyOf"] = [
        {"required": [name], "properties": {name: {"type": kind}}}
        for name, kind in (("timeoutSeconds", "integer"), ("expiresAt", "string"), ("idleTimeoutSeconds", "integer"))
    ]


class ContainerUpdate(WireRequest):
    """A new deadline (expiresAt goes first), a new idle timeout, or both."""

    model_config = ConfigDict(json_schema_extra=_one_is_given)

    timeout_seconds: Annotated[
        Seconds | None, Field(description="Seconds it lives on, from now; from its start, if it has not started.")
    ] = None
    expires_at: Annotated[Instant | None, Field(description="When it ends at the latest.")] = None
    idle_timeout_seconds: IdleTimeout | None = None

    def to_domain(self) -> ContainerChange:
        """Return the change, of which something is given."""
        change = ContainerChange(self.timeout_seconds, self.expires_at, self.idle_timeout_seconds)
        if change == ContainerChange():
            raise wrong("is missing; give it, or expiresAt, or idleTimeoutSeconds", "timeoutSeconds")
        return change


class ContainerQuery(PageQuery):
    """Which containers to list."""

    status: Annotated[
        ContainerStatus | None,
        BeforeValidator(partial(choice, ContainerStatus)),
        Field(description="Only those in this state, in any case."),
    ] = None
    container_type: Annotated[
        ContainerType | None,
        BeforeValidator(partial(choice, ContainerType)),
        Field(description="COMPUTE or SESSION, in any case."),
    ] = None
    name: Annotated[
        Clean | None,
        Field(max_length=MAX_NAME, description="Only those of exactly this name."),
        AfterValidator(lambda text: text and clean_text(text)),
    ] = None
    metadata: Annotated[
        Metadata,
        Field(
            default_factory=dict,
            description="Only those with this metadata: `metadata[project]=alpha`, all must match.",
        ),
    ]

    def to_domain(self) -> ContainerFilter:
        """Return the conditions."""
        return ContainerFilter(self.status, self.container_type, self.name, self.metadata)
