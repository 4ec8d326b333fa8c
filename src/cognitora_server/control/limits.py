"""What a request may ask for on this host: refused at once when it could never be given."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from cognitora_server.domain.containers import MIB, ContainerRequest
from cognitora_server.domain.errors import InvalidRequest, NetworkingUnavailable, ResourcesUnavailable
from cognitora_server.domain.resources import Resources
from cognitora_server.settings import Settings


class HostCapacity:
    """What this host gives to containers: to one at the most (CPU cores, MiB), and to all that run together."""

    def __init__(self, settings: Settings) -> None:
        self.cpu_cores = settings.host_cpu_cores or len(os.sched_getaffinity(0))
        self.memory_mb = settings.host_memory_mb or max(0, _machine_memory_mb() - settings.memory_reserve_mb)
        self.all_cpu_cores = self.cpu_cores * settings.cpu_overcommit
        self.all_memory_mb = self.memory_mb * settings.memory_overcommit
        self.all_containers = settings.max_containers

    def check(self, wanted: Resources) -> None:
        """Raise ResourcesUnavailable for what one container could never get, however empty the host."""
        check_most("cpuCores", wanted.cpu_cores, self.cpu_cores)
        check_most("memoryMb", wanted.memory_mb, self.memory_mb)


def check_request(request: ContainerRequest, settings: Settings, host: HostCapacity) -> None:
    """Raise ResourcesUnavailable, NetworkingUnavailable or InvalidRequest for what can never work here."""
    host.check(request.resources)
    check_most("storageGb", request.resources.storage_gb, settings.max_storage_gb)
    check_most("gpuCount", request.resources.gpu_count, 0)
    if request.networking:
        raise NetworkingUnavailable(
            "This server cannot give containers networking yet: leave out `networking` and `portMapping`."
        )


def check_most(field: str, asked: float, largest: float) -> None:
    """Raise ResourcesUnavailable where a field asks for more than the largest that is ever given."""
    if asked > largest:
        raise ResourcesUnavailable(
            f"`{field}` {asked:.12g} can never be given: the largest that this server gives a container is "
            f"{largest:.12g}.",
            field=field,
            asked=asked,
            largest=largest,
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


def _machine_memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB
