"""Running podman and its relatives: arguments, environment, output of bounded size, and no orphans."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cognitora_server.domain.images import ImageError
from cognitora_server.host.images.settings import ImageSettings

OUTPUT_LIMIT = 32 * 1024 * 1024
"""Bytes kept of a command's standard output; `podman images` of ten thousand images is 10 MB."""
ERRORS_LIMIT = 64 * 1024
"""Bytes kept of its standard error: the end, where the reason stands."""
KILL_GRACE_SECONDS = 5.0

LineHandler = Callable[[str], None]
ProcessWatcher = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class Podman:
    """podman with the settings' storage, registries and credentials."""

    def __init__(self, settings: ImageSettings) -> None:
        self._settings = settings

    async def run(
        self,
        *args: str,
        timeout: float = 60.0,
        environment: Mapping[str, str] | None = None,
        on_error_line: LineHandler | None = None,
        watch: ProcessWatcher | None = None,
    ) -> Completed:
        """Run one podman command; see `run` of this module for the parameters."""
        command = ["podman", *self._storage_options(), *args]
        return await run(
            command,
            timeout=timeout,
            environment={**self.environment(), **(environment or {})},
            on_error_line=on_error_line,
            watch=watch,
        )

    async def json(self, *args: str, timeout: float = 60.0) -> Any:
        """Run a command that prints JSON and parse it; `ImageError` with podman's own words otherwise."""
        done = await self.run(*args, timeout=timeout)
        if done.returncode != 0:
            raise ImageError(f"podman {args[0]} failed: {last_line(done.stderr)}")
        try:
            return json.loads(done.stdout or "null")
        except json.JSONDecodeError as error:
            raise ImageError(f"podman {args[0]} did not answer in JSON; is podman older than 4.3?") from error

    def registry_options(self) -> list[str]:
        """Options for the commands that talk to a registry."""
        auth_file = self._settings.auth_file
        return ["--authfile", str(auth_file)] if auth_file else []

    def environment(self) -> dict[str, str]:
        """What podman needs of our environment, and the registries.conf of the settings."""
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        if self._settings.registries_conf:
            environment["CONTAINERS_REGISTRIES_CONF"] = str(self._settings.registries_conf)
        return environment

    def _storage_options(self) -> list[str]:
        root = self._settings.storage_root
        if root is None:
            return []
        run_root = self._settings.run_root or default_run_root(root)
        return ["--root", str(root), "--runroot", str(run_root)]


def default_run_root(storage_root: Path) -> Path:
    """Where a storage keeps its locks and mounts when the settings do not say."""
    # podman refuses a run root of more than 50 characters, so it cannot lie in the storage itself.
    return Path("/run/cognitora") / hashlib.sha256(os.fsencode(storage_root)).hexdigest()[:16]


async def run(
    command: Sequence[str],
    *,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    cwd: Path | None = None,
    on_error_line: LineHandler | None = None,
    watch: ProcessWatcher | None = None,
) -> Completed:
    """Run `command` in a session of its own and wait for its end.

    `watch` runs beside it with the process id, and stops it by raising: that error comes out of here. After
    `timeout` seconds `TimeoutError` does. However this ends, cancellation included, the whole process group
    has ended with it.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            cwd=cwd,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise ImageError(f"The command {command[0]!r} is not installed on this machine.") from error
    try:
        async with asyncio.timeout(timeout):
            return await _attend(process, stdin, on_error_line, watch)
    finally:
        await asyncio.shield(_end(process))


async def _attend(
    process: asyncio.subprocess.Process,
    stdin: bytes | None,
    on_error_line: LineHandler | None,
    watch: ProcessWatcher | None,
) -> Completed:
    watcher = asyncio.ensure_future(watch(process.pid)) if watch else None
    talk = asyncio.ensure_future(_talk(process, stdin, on_error_line))
    tasks: set[asyncio.Future[Any]] = {talk} | ({watcher} if watcher else set())
    try:
        while not talk.done():
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if watcher and watcher.done():
                tasks.discard(watcher)
                watcher.result()
        return talk.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _talk(
    process: asyncio.subprocess.Process, stdin: bytes | None, on_error_line: LineHandler | None
) -> Completed:
    assert process.stdout is not None and process.stderr is not None
    stdout, stderr, _ = await asyncio.gather(
        _read_head(process.stdout), _read_tail(process.stderr, on_error_line), _feed(process, stdin)
    )
    return Completed(await process.wait(), _decode(stdout), _decode(stderr))


async def _feed(process: asyncio.subprocess.Process, data: bytes | None) -> None:
    if process.stdin is None or data is None:
        return
    with suppress(ConnectionError):
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()


async def _read_head(stream: asyncio.StreamReader) -> bytes:
    kept = bytearray()
    while chunk := await stream.read(64 * 1024):
        kept += chunk[: OUTPUT_LIMIT - len(kept)]
    return bytes(kept)


async def _read_tail(stream: asyncio.StreamReader, on_line: LineHandler | None) -> bytes:
    kept, line = bytearray(), b""
    while chunk := await stream.read(8 * 1024):
        kept = (kept + chunk)[-ERRORS_LIMIT:]
        *lines, line = (line + chunk).split(b"\n")
        line = line[-ERRORS_LIMIT:]
        if on_line:
            for whole in lines:
                on_line(_decode(whole))
    return bytes(kept)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process's session: podman unpacks layers in children, which must not go on without it."""
    if process.returncode is not None:
        return
    _signal(process.pid, signal.SIGTERM)
    with suppress(TimeoutError):
        async with asyncio.timeout(KILL_GRACE_SECONDS):
            await process.wait()
    _signal(process.pid, signal.SIGKILL)
    await process.wait()
    # Its children are not ours to wait for; a layer that one still writes to cannot be removed.
    with suppress(TimeoutError):
        async with asyncio.timeout(KILL_GRACE_SECONDS):
            while _lives(process.pid):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)


def _lives(group: int) -> bool:
    """Say whether a process of the group has not ended. Zombies have, whoever collects them."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, found, *_ = file.read_text(errors="replace").rpartition(") ")[2].split()
            if int(found) == group and state not in "ZX":
                return True
    return False


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def last_line(text: str, limit: int = 500) -> str:
    """The last line that says something, without podman's prefix, of at most `limit` characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1].removeprefix("Error: ") if lines else "no reason given")[:limit]
