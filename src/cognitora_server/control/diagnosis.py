"""What this host can do for containers, said so that a person can act on it."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cognitora_server.domain.containers import GIB
from cognitora_server.domain.errors import IsolationUnavailable
from cognitora_server.drivers.base import Probe
from cognitora_server.settings import Settings

from .isolation import Drivers
from .limits import HostCapacity

State = Literal["ok", "note", "missing"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what was found, and what mends it."""

    name: str
    state: State
    finding: str
    notes: tuple[str, ...] = ()
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All checks, and whether containers can be run."""

    checks: tuple[Check, ...]
    usable: bool
    summary: str


async def report(drivers: Drivers, settings: Settings) -> Report:
    """Look at everything that running containers needs."""
    tools = await asyncio.to_thread(_tools)
    checks = (*map(_isolation, drivers.probes), *tools, _disk(settings), _capacity(settings))
    try:
        chosen = drivers.choose("auto").isolation
    except IsolationUnavailable as error:
        return Report(checks, False, error.message)
    usable = all(check.state != "missing" for check in tools)
    summary = f"Containers get {chosen.value!r} unless they ask; the minimum is {settings.minimum_isolation!r}."
    return Report(checks, usable, summary)


def _isolation(probe: Probe) -> Check:
    name = f"isolation {probe.isolation.value}"
    if probe.available:
        return Check(name, "ok", f"{probe.technology} {probe.version}".strip(), probe.notes)
    return Check(name, "missing", probe.problem or f"{probe.technology} does not work here", probe.notes, probe.remedy)


def _tools() -> list[Check]:
    podman = shutil.which("podman")
    if podman is None:
        return [
            Check("images", "missing", "podman is not installed", (), "apt-get install --no-install-recommends podman")
        ]
    checks = [Check("images", "ok", f"podman at {podman}")]
    if shutil.which("mmdebstrap") is None:
        remedy = "apt-get install --no-install-recommends mmdebstrap"
        checks.append(
            Check("local base images", "note", "mmdebstrap is not installed: 'images bootstrap' needs it", (), remedy)
        )
    return checks


def _disk(settings: Settings) -> Check:
    folder = next(parent for parent in (settings.data_dir, *settings.data_dir.parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    finding = f"{free / GIB:.1f} GiB free for {settings.data_dir}"
    if free < 2 * settings.disk_reserve_bytes:
        return Check("disk", "note", f"{finding}: nearly the reserve of {settings.disk_reserve_bytes / GIB:.1f} GiB")
    return Check("disk", "ok", finding)


def _capacity(settings: Settings) -> Check:
    host = HostCapacity(settings)
    limits = "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1"
    largest = f"one container at the most {host.cpu_cores:.12g} CPUs and {host.memory_mb} MiB of memory"
    together = f"all together {host.all_cpu_cores:.12g} CPUs and {host.all_memory_mb:.12g} MiB"
    return Check("capacity", "ok", f"{largest}, {together}; control groups {limits}")
