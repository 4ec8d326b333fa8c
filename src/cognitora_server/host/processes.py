"""Processes of the host: found again without mistaking one for another, waited for, and started with care."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import signal
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# PIDFD_GET_INFO (Linux 6.13; the exit status since 6.15): struct pidfd_info of 64 bytes.
_PIDFD_GET_INFO = 0xC040FF0B
_PIDFD_INFO_EXIT = 1 << 3
_PIDFD_INFO = struct.Struct("=QQ11IiQ")

_ATTEMPTS, _PAUSE_SECONDS = 4, 0.005

_ENTER_AND_EXEC = """
while [ "$1" != -- ]; do echo $$ > "$1" || exit 125; shift; done
shift
"""
# A shell can only name descriptors below 10, so the one to hand over arrives as standard input.
_HAND_OVER = "exec 3<&0\n"
# An ended pipe, not /dev/null: some OCI runtimes give their standard input to the container's root, and with it the
# host's own device.
_RUN = """exec "$@" <<END
END
"""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process beyond doubt: its id, and when it started in clock ticks since which boot (ids are used again)."""

    pid: int
    start_time: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """Return the identity of a living process. Raises ProcessLookupError when there is none."""
        return cls(pid, start_time(pid), boot_id())


def boot_id() -> str:
    """Return what tells this run of the machine from any other: pids and times begin anew with each."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int:
    """Return when process `pid` started, in clock ticks since boot. Raises ProcessLookupError."""
    return int(_stat(pid)[19])


def open_process(identity: ProcessIdentity) -> int:
    """Return a pidfd of exactly this process. Raises ProcessLookupError when it is gone or was replaced."""
    if identity.boot_id != boot_id():
        raise ProcessLookupError(f"process {identity.pid} ran before this machine was started")
    descriptor = os.pidfd_open(identity.pid)
    try:
        _check_alive(identity, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_alive(identity: ProcessIdentity, pidfd: int) -> None:
    if start_time(identity.pid) != identity.start_time:
        raise ProcessLookupError(f"process {identity.pid} is another one by now")
    # A zombie keeps its id and start time, but runs no more.
    if process_ended(pidfd):
        raise ProcessLookupError(f"process {identity.pid} has ended")


def process_ended(pidfd: int) -> bool:
    """Say whether the process behind `pidfd` has ended."""
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


async def wait_process(pidfd: int) -> None:
    """Return when the process behind `pidfd` has ended. It may be anyone's child. `pidfd` stays open."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    # A descriptor of its own: a loop watches each descriptor for one reader, and several may wait.
    watched = os.dup(pidfd)
    try:
        loop.add_reader(watched, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(watched)
        os.close(watched)


async def exit_signal(identity: ProcessIdentity, pidfd: int) -> int | None:
    """Return the signal that ended the process; 0 for a regular exit, None where nothing tells.

    Its parent (mostly init) has either not taken notice yet: then /proc tells. Or it has: then newer kernels tell.
    """
    for _ in range(_ATTEMPTS):
        for status in (_status_of_zombie(identity), _status_of_reaped(pidfd)):
            if status is not None:
                return status & 0x7F
        await asyncio.sleep(_PAUSE_SECONDS)
    return None


def _status_of_zombie(identity: ProcessIdentity) -> int | None:
    try:
        stat = _stat(identity.pid)
    except ProcessLookupError:
        return None
    zombie = stat[0] == "Z" and int(stat[19]) == identity.start_time
    return int(stat[49]) if zombie else None


def _status_of_reaped(pidfd: int) -> int | None:
    buffer = bytearray(_PIDFD_INFO.pack(_PIDFD_INFO_EXIT, *([0] * 14)))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, buffer)
    except OSError:
        return None
    mask, *_, status, _ = _PIDFD_INFO.unpack(buffer)
    return int(status) if mask & _PIDFD_INFO_EXIT else None


async def spawn(
    command: Sequence[str],
    *,
    output: int,
    environment: Mapping[str, str],
    cgroup_files: Sequence[Path] = (),
    hand_over: int | None = None,
) -> asyncio.subprocess.Process:
    """Start `command` in a session of its own, without a pipe to this server.

    The first thing the new process does is to write itself into each of `cgroup_files` (`cgroup.procs`), so
    that nothing it starts is ever outside, even if this server is killed meanwhile. What it prints goes to the
    descriptor `output`. `hand_over` becomes its descriptor 3.
    """
    script = _ENTER_AND_EXEC + (_HAND_OVER if hand_over is not None else "") + _RUN
    return await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", script, "sh", *map(str, cgroup_files), "--", *command),
        stdin=asyncio.subprocess.DEVNULL if hand_over is None else hand_over,
        stdout=output,
        stderr=output,
        env=dict(environment),
        start_new_session=True,
    )


async def wait_or_kill(process: asyncio.subprocess.Process, timeout: float) -> int:
    """Wait for the end; return the exit status (negative: the signal).

    When this is cancelled, or after `timeout` seconds (TimeoutError), the process is killed. What it has started
    is left to the one who owns its control group.
    """
    try:
        async with asyncio.timeout(timeout):
            return await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())


def descendants(pid: int) -> list[int]:
    """Return the ids of all processes below `pid`, parents before their children."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(ProcessLookupError):
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found: list[int] = []
    level = [pid]
    while level:
        level = [child for parent in level for child in children.get(parent, [])]
        found += level
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state (field 3) on. Raises ProcessLookupError."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessLookupError(f"there is no process {pid}") from error
    # The name in parentheses may hold anything, blanks and parentheses too: count from its end.
    return text.rpartition(")")[2].split()
