"""What a request may ask for on this host: refused at once when it could never be given."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from cognitora_server.domain.containers import MIB, ContainerRequest, Resources
from cognitora_server.domain.errors import InvalidRequest, NetworkingUnavailable, ResourcesUnavailable
from cognitora_server.settings import Settings


class HostCapacity:
    """How much this host has in all: CPU cores and MiB of memory."""

    def __init__(self) -> None:
        self.cpu_cores = len(os.sched_getaffinity(0))
        self.memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB


def check_request(request: ContainerRequest, settings: Settings, host: HostCapacity) -> None:
    """Raise ResourcesUnavailable, NetworkingUnavailable or InvalidRequest for what can never work here."""
    _check_resources(request.resources, settings, host)
    if request.networking:
        raise NetworkingUnavailable(
            "This server cannot give containers networking yet: leave out `networking` and `portMapping`."
        )


def _check_resources(wanted: Resources, settings: Settings, host: HostCapacity) -> None:
    largest = {
        "cpuCores": (wanted.cpu_cores, host.cpu_cores),
        "memoryMb": (wanted.memory_mb, host.memory_mb),
        "storageGb": (wanted.storage_gb, settings.max_storage_gb),
        "gpuCount": (wanted.gpu_count, 0),
    }
    for name, (asked, most) in largest.items():
        if asked > most:
            raise ResourcesUnavailable(
                f"`{name}` {asked:g} can never be given: the most that this server has is {most:g}.",
                field=name,
                largest=most,
            )


def deadline(
    timeout_seconds: int | None, expires_at: datetime | None, default_seconds: int, now: datetime, settings: Settings
) -> tuple[int, datetime, bool]:
    """Return seconds, instant, and whether the instant was named by the user.

    An instant wins over seconds, which the published client always sends. Raises InvalidRequest.
    """
    if expires_at is not None:
        if expires_at <= now:
            raise InvalidRequest("`expiresAt` is in the past: give a time to come.", field="expiresAt")
        seconds = int((expires_at - now).total_seconds())
        name = "expiresAt"
    else:
        seconds = default_seconds if timeout_seconds is None else timeout_seconds
        name = "timeoutSeconds"
    if seconds > settings.max_timeout_seconds:
        raise InvalidRequest(
            f"`{name}` is {seconds} s ahead: the most is {settings.max_timeout_seconds} s.",
            field=name,
            largest=settings.max_timeout_seconds,
        )
    return seconds, expires_at or now + timedelta(seconds=seconds), expires_at is not None
