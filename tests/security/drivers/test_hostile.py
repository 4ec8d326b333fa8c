"""What a workload does to its own guest agent. The host's side never hangs and always learns the end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from tests.contract.harness import Bench, healthy, python, run, shell

from cognitora_server.domain.errors import GuestUnreachable, SandboxGone
from cognitora_server.drivers.base import Sandbox

_PTRACE = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
attached = [request for request in (16, 0x4206) if libc.ptrace(request, 1, None, None) == 0]
try: attached.append(open("/proc/1/mem", "r+b").read(1))
except OSError: pass
print(attached)
"""


_CONNECT = """
import glob, socket
for path in ["/.cognitora/sock/agent.sock", *glob.glob("/proc/1/fd/*")]:
    try: socket.socket(socket.AF_UNIX).connect(path)
    except OSError: continue
    print("connected", path)
print("refused")
"""


@pytest.mark.parametrize(
    "script",
    [
        "kill -9 1",
        "kill -STOP 1",
        "kill -SEGV 1; kill -ABRT 1; kill -QUIT 1",
        "kill -9 -1",
        "for fd in /proc/1/fd/*; do (head -c 100000 /dev/zero > $fd) & done; sleep 1",
        "rm -rf /.cognitora/sock /.cognitora/inbox /.cognitora",
        "mv /.cognitora /gone; mkdir -p /.cognitora/sock; ln -s /etc/passwd /.cognitora/sock/agent.sock",
        "umount -l /.cognitora/inbox; umount -l /.cognitora; mount -t tmpfs none /.cognitora",
        "echo 0 > /proc/1/oom_score_adj; prlimit --pid 1 --nofile=3:3; prlimit --pid 1 --as=1:1",
        "for port in 1 2 3; do (echo | head -c 10 > /dev/tcp/127.0.0.1/$port); done; rm -rf --no-preserve-root /",
    ],
)
async def test_attacks_on_the_agent(real: Bench, script: str) -> None:
    async with real.sandbox() as sandbox:
        with suppress(GuestUnreachable, TimeoutError):
            async with asyncio.timeout(10):
                await shell(sandbox, script, seconds=5)
        await _answers_or_has_ended(sandbox, may_be_silent="STOP" in script or "prlimit" in script)


async def test_the_agents_memory_is_closed(real: Bench) -> None:
    async with real.sandbox() as sandbox:
        assert (await python(sandbox, _PTRACE)).output == "[]\n"
        await healthy(sandbox)


async def test_the_socket_is_out_of_reach(real: Bench) -> None:
    async with real.sandbox() as sandbox:
        await shell(sandbox, "rm -f /.cognitora/sock/agent.sock; mv /.cognitora/sock /.cognitora/away")
        sockets = (await shell(sandbox, "find / -xdev -type s; find /.cognitora -type s")).output.split()
        # gVisor shows it, read-only, below the folder that it was in.
        assert set(sockets) <= ({"/.cognitora/sock/agent.sock"} if real.case.gvisor else set())
        assert (await run(sandbox, ("python3", "-c", _CONNECT), user="65534")).output == "refused\n"
        await healthy(sandbox)


@pytest.mark.parametrize("kind", ["link", "file", "folder"])
async def test_a_replaced_socket_is_never_followed(real: Bench, data_dir: Path, kind: str) -> None:
    """As if gVisor itself were broken into: then the folder of the socket can be written from inside."""
    async with real.sandbox() as sandbox:
        socket = next(data_dir.glob(f"**/{sandbox.container_id}/**/agent.sock"))
        socket.unlink()
        if kind == "link":
            socket.symlink_to("/run/host.sock")
        elif kind == "file":
            socket.write_text("not a socket")
        else:
            socket.mkdir()
        # The view holds on to the socket that was checked.
        await healthy(sandbox)
        with pytest.raises(SandboxGone):
            await real.driver.recover(sandbox.container_id, sandbox.handle)


async def test_a_sandbox_that_is_asked_for_too_much_output(real: Bench) -> None:
    async with real.sandbox() as sandbox:
        result = await shell(sandbox, "head -c 300000000 /dev/zero", seconds=30)
        assert result.exit_code == 0
        assert len(result.output) < 2 << 20
        assert await sandbox.oom_kills() == 0


async def _answers_or_has_ended(sandbox: Sandbox, *, may_be_silent: bool = False) -> None:
    try:
        await healthy(sandbox, 5)
    except GuestUnreachable:
        try:
            async with asyncio.timeout(2):
                end = await sandbox.wait()
        except TimeoutError:
            # Stopped, or without descriptors: the control plane ends a container whose agent is silent.
            assert may_be_silent
        else:
            assert end.detail
