"""With what the `container` driver makes containers on this host: found out by trying."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cognitora_server.domain.containers import Isolation
from cognitora_server.drivers.base import Probe
from cognitora_server.drivers.oci.driver import OciDriver, OciHost
from cognitora_server.drivers.oci.runsc import ask_version
from cognitora_server.drivers.oci.trials import why_not
from cognitora_server.host.idmaps import IdMap, UserNamespace

#: The ids of all guests' users on the host: far above those that people, services and other tools use.
IDS = IdMap(first=(1 << 30) + (1 << 29), count=1 << 16)

_TECHNOLOGY = "containers that share the host's kernel"
_INSTALL = "Install one: apt-get install crun"
_SHARED_KERNEL = "all containers share the host's kernel: for code that you trust"
_NUMBERS = re.compile(r"version (\d+)\.(\d+)(?:\.(\d+))?\S*")
#: The first versions with the fixes of the escapes published up to 2025.
_CURRENT = {"runc": (1, 2, 8), "crun": (1, 24, 0)}


@dataclass(frozen=True, slots=True)
class Choice:
    """crun or runc, with a user namespace or without."""

    runtime: Path
    users: UserNamespace | None = None


Maker = Callable[[OciHost, Choice], OciDriver]


async def choose(candidates: Sequence[Path], host: OciHost, make: Maker) -> tuple[Probe, Choice | None]:
    """Try the `candidates` in their order, each with a user namespace and without; return what works first."""
    if not candidates:
        return _unavailable("neither crun nor runc is installed", _INSTALL), None
    if os.geteuid() != 0:
        return _unavailable("making containers takes root", "Run cognitora as root."), None
    users, no_users = await _user_namespace()
    reasons = []
    for runtime in candidates:
        if users is not None:
            chosen = Choice(runtime, users)
            no_users = await _why_not(host, make, chosen)
            if no_users is None:
                return await _available(chosen, None), chosen
        chosen = Choice(runtime)
        reason = await _why_not(host, make, chosen)
        if reason is None:
            return await _available(chosen, no_users), chosen
        reasons.append(f"{runtime.name}: {reason}")
    return _unavailable("; ".join(reasons), "See what a host needs in docs/isolation.md."), None


async def _why_not(host: OciHost, make: Maker, choice: Choice) -> str | None:
    return await why_not(lambda trial: make(trial, choice), host)


async def _user_namespace() -> tuple[UserNamespace | None, str | None]:
    try:
        return await asyncio.to_thread(UserNamespace, IDS), None
    except OSError as error:
        return None, f"this kernel gives none ({error.strerror or error})"


async def _available(choice: Choice, no_users: str | None) -> Probe:
    text, notes = await _version(choice.runtime)
    if choice.users is not None:
        notes.append(f"root inside is the powerless user {IDS.first} outside (user namespace)")
    else:
        notes.append(f"without a user namespace, so root inside is root outside: {no_users}")
    return Probe(Isolation.CONTAINER, True, _TECHNOLOGY, text, notes=(_SHARED_KERNEL, *notes))


async def _version(runtime: Path) -> tuple[str, list[str]]:
    try:
        found = _NUMBERS.search(await ask_version(runtime))
    except OSError:
        found = None
    if found is None:
        return runtime.name, []
    numbers = tuple(int(number or 0) for number in found.groups())
    current = _CURRENT.get(runtime.name, (0,))
    text = f"{runtime.name} {'.'.join(map(str, numbers))}"
    if numbers >= current:
        return text, []
    return text, [f"{text} lacks fixes of escapes that were published later; {'.'.join(map(str, current))} has them"]


def _unavailable(problem: str, remedy: str) -> Probe:
    return Probe(Isolation.CONTAINER, False, _TECHNOLOGY, problem=problem, remedy=remedy)
