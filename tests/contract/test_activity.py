"""What the guest agent counts of the activity in its sandbox, with every driver."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from cognitora_server.drivers.base import Sandbox
from cognitora_server.guest import Counts, GuestClient, ProcessSpec

from .harness import Bench, python, shell

_CONNECTION = """
import socket, time
listener = socket.create_server(("127.0.0.1", 0))
print("listening", flush=True)
time.sleep(2)
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
print("connected", flush=True)
time.sleep(1000)
"""


async def counts(sandbox: Sandbox) -> Counts:
    client = GuestClient(sandbox.guest_socket)
    try:
        return await client.activity(10)
    finally:
        await client.close()


async def counted(sandbox: Sandbox, condition: Callable[[Counts], bool]) -> Counts:
    """Wait until the counts are as wanted."""
    for _ in range(300):
        seen = await counts(sandbox)
        if condition(seen):
            return seen
        await asyncio.sleep(0.1)
    raise AssertionError(seen)


@asynccontextmanager
async def running(sandbox: Sandbox, *argv: str) -> AsyncIterator[None]:
    """A process that runs for the time of the block, or longer."""
    client = GuestClient(sandbox.guest_socket)
    name = secrets.token_hex(8)
    try:
        async with client.run(ProcessSpec(name, argv)):
            yield
        await client.signal(name, "KILL")
    finally:
        await client.close()


async def test_an_empty_sandbox_has_nothing_going_on(bench: Bench) -> None:
    async with bench.sandbox() as sandbox:
        assert await counts(sandbox) == Counts(0, 0.0, 0, 0, 0)
        await shell(sandbox, "true")
        await counted(sandbox, lambda seen: seen.processes == 0)


async def test_who_only_sleeps_uses_nothing(bench: Bench) -> None:
    async with bench.sandbox() as sandbox, running(sandbox, "sleep", "1000"):
        before = await counted(sandbox, lambda seen: seen.processes == 1)
        await asyncio.sleep(2)
        after = await counts(sandbox)
        assert after.processes == 1
        assert after.cpu_seconds - before.cpu_seconds <= 0.02
        assert (after.input_bytes, after.output_bytes, after.connections) == (0, 0, 0)


async def test_output_is_counted_kept_or_not(bench: Bench) -> None:
    async with bench.sandbox() as sandbox:
        await shell(sandbox, "echo 12345; echo 123 >&2; (sleep 1; echo late) &")
        await counted(sandbox, lambda seen: seen.output_bytes == 6 + 4 + 5)


async def test_cpu_time_is_counted_also_of_what_has_ended(bench: Bench) -> None:
    burn = "import time\nwhile time.process_time() < 1: pass"
    async with bench.sandbox() as sandbox:
        async with running(sandbox, "python3", "-c", "while True: pass"):
            await counted(sandbox, lambda seen: seen.cpu_seconds > 0.5)
        await counted(sandbox, lambda seen: seen.processes == 0)
        before = (await counts(sandbox)).cpu_seconds
        assert before > 0.5
        await python(sandbox, burn)
        await shell(sandbox, f"python3 -c '{burn}' & wait; setsid python3 -c '{burn}' &")
        await counted(sandbox, lambda seen: seen.cpu_seconds > before + 2.7)


async def test_connections_count_and_listeners_do_not(real: Bench) -> None:
    async with real.sandbox() as sandbox, running(sandbox, "python3", "-c", _CONNECTION):
        listening = await counted(sandbox, lambda seen: seen.output_bytes >= len("listening\n"))
        assert listening.connections == 0
        connected = await counted(sandbox, lambda seen: seen.output_bytes > len("listening\n"))
        assert connected.connections == 2  # both ends are inside
