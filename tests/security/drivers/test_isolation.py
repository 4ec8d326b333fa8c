"""What a workload finds in its sandbox: no network, no devices, few powers, nothing of the host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.contract.harness import Bench, healthy, python, shell

from cognitora_server.drivers.base import Sandbox
from cognitora_server.drivers.oci.spec import CAPABILITIES

_BITS = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_FSETID": 4,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_NET_BIND_SERVICE": 10,
}

_NETWORK = """
import json, socket
found = {"interfaces": sorted(line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line)}
def tried(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(3)
        try: probe.connect(address)
        except OSError as error: return type(error).__name__ + str(error.errno)
        return "connected"
found["ipv4"] = tried(socket.AF_INET, ("1.1.1.1", 53))
found["ipv6"] = tried(socket.AF_INET6, ("2606:4700:4700::1111", 53))
found["metadata"] = tried(socket.AF_INET, ("169.254.169.254", 80))
try: found["names"] = socket.gethostbyname("example.com")
except OSError: found["names"] = None
server = socket.create_server(("127.0.0.1", 0))
found["loopback"] = tried(socket.AF_INET, server.getsockname())
print(json.dumps(found))
"""

# Powerful calls by number (x86-64, and generic for arm64): each must fail.
_CALLS = """
import ctypes, json, os, platform
libc = ctypes.CDLL(None, use_errno=True)
arm = platform.machine() == "aarch64"
calls = {
    "mount": (40 if arm else 165, b"none", b"/mnt", b"tmpfs", 0, None),
    "umount": (39 if arm else 166, b"/proc", 2),
    "new user namespace": (97 if arm else 272, 0x10000000),
    "new network namespace": (97 if arm else 272, 0x40000000),
    "bpf": (280 if arm else 321, 0, None, 0),
    "keyctl": (219 if arm else 250, 0, -3, 1),
    "io_uring_setup": (425, 4, ctypes.create_string_buffer(256)),
    "userfaultfd": (282 if arm else 323, 0),
    "perf_event_open": (241 if arm else 298, ctypes.create_string_buffer(128), 0, -1, -1, 0),
    "open_by_handle_at": (265 if arm else 304, -100, ctypes.create_string_buffer(32), 0),
    "init_module": (105 if arm else 175, b"", 0, b""),
    "reboot": (142 if arm else 169, 0xfee1dead, 672274793, 0, None),
    "chroot": (51 if arm else 161, b"/tmp"),
    "sethostname": (161 if arm else 170, b"host", 4),
    "settimeofday": (170 if arm else 164, ctypes.create_string_buffer(16), None),
    "socket AF_VSOCK": (198 if arm else 41, 40, 1, 0),
    "socket AF_ALG": (198 if arm else 41, 38, 5, 0),
    "socket AF_PACKET": (198 if arm else 41, 17, 3, 0),
}
succeeded = []
for name, call in calls.items():
    # Each in a process of its own: one that succeeds must not give its powers to the next.
    child = os.fork()
    if child == 0:
        os._exit(0 if libc.syscall(*call) >= 0 else 1)
    if os.waitpid(child, 0)[1] == 0:
        succeeded.append(name)
print(json.dumps(succeeded))
"""


async def test_there_is_no_network_but_loopback(real: Bench) -> None:
    async with real.sandbox() as sandbox:
        found = json.loads((await python(sandbox, _NETWORK)).output)
        assert found["interfaces"] == ["lo"]
        assert found["loopback"] == "connected"
        assert found["names"] is None
        assert "connected" not in (found["ipv4"], found["ipv6"], found["metadata"])


async def test_powers_are_few(real: Bench) -> None:
    async with real.sandbox() as sandbox:
        status = await _status(sandbox)
        wanted = sum(1 << bit for bit in _BITS.values())
        assert set(_BITS) == set(CAPABILITIES)
        assert int(status["CapBnd"], 16) == wanted
        assert int(status["CapEff"], 16) == wanted
        assert int(status["CapInh"], 16) == 0
        assert int(status.get("CapAmb", "0"), 16) == 0
        assert (await python(sandbox, "import ctypes; print(ctypes.CDLL(None).prctl(39, 0, 0, 0, 0))")).output == "1\n"
        if not real.case.gvisor:
            assert status["Seccomp"] == "2"


async def test_powerful_calls_are_refused(real: Bench) -> None:
    async with real.sandbox() as sandbox:
        succeeded = set(json.loads((await python(sandbox, _CALLS)).output))
        if real.case.gvisor:
            # Namespaces and polling rings of gVisor's own kernel, of which nothing reaches the host's.
            succeeded -= {"new user namespace", "io_uring_setup", "keyctl"}
        assert not succeeded
        await healthy(sandbox)


async def test_no_devices_of_the_host(real: Bench) -> None:
    async with real.sandbox() as sandbox:
        names = set((await shell(sandbox, "ls /dev")).output.split())
        harmless = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm"}
        assert names - harmless - {"fd", "stdin", "stdout", "stderr", "mqueue", "core"} <= (
            {"net", "fuse", "char"} if real.case.gvisor else set()
        )
        assert (await shell(sandbox, "find / -xdev -type b; find /dev -type b")).output == ""
        # gVisor of 2024 makes nodes, but has no such devices.
        for node in ("disk b 8 0", "disk2 b 254 0", "memory c 1 1", "loop c 10 237"):
            name = node.split()[0]
            assert (await shell(sandbox, f"mknod /tmp/{node} && head -c 1 /tmp/{name}")).exit_code != 0


async def test_the_hosts_devices_keep_their_owner(real: Bench) -> None:
    devices = [Path("/dev") / name for name in ("null", "zero", "full", "random", "urandom", "tty")]
    before = [(path.stat().st_uid, path.stat().st_mode) for path in devices]
    async with real.sandbox() as sandbox:
        await shell(sandbox, "chmod 600 /dev/null; chown 5 /dev/zero")
        assert [(path.stat().st_uid, path.stat().st_mode) for path in devices] == before


async def test_processes_of_the_host_are_not_seen(real: Bench) -> None:
    async with real.sandbox() as sandbox:
        assert (await shell(sandbox, "tr '\\0' ' ' </proc/1/cmdline")).output.startswith("/.cognitora/agent init ")
        assert int((await shell(sandbox, "ls -d /proc/[0-9]* | wc -l")).output) < 10


@pytest.mark.parametrize(
    "command",
    [
        "echo x > /.cognitora/agent",
        "rm -f /.cognitora/agent",
        "echo x > /.cognitora/inbox/file",
        "echo '|/tmp/x' > /proc/sys/kernel/core_pattern",
        "echo 1 > /proc/sys/vm/drop_caches",
        "echo b > /proc/sysrq-trigger",
        "echo 1 > /sys/power/state",
        "echo 0 > /sys/fs/cgroup/memory/memory.limit_in_bytes",
        "echo max > /sys/fs/cgroup/memory.max",
        "mkdir /sys/fs/cgroup/pids/more || mkdir /sys/fs/cgroup/more",
        "cat /proc/kcore | head -c 1 | grep -q .",
    ],
)
async def test_what_is_not_its_own_cannot_be_changed(real: Bench, command: str) -> None:
    async with real.sandbox() as sandbox:
        assert (await shell(sandbox, command)).exit_code != 0
        await healthy(sandbox)


async def test_setuid_programs_give_nothing(real: Bench) -> None:
    async with real.sandbox() as sandbox:
        await shell(sandbox, "cp /bin/sh /usr/bin/as-root && chmod 4755 /usr/bin/as-root")
        result = await shell(sandbox, "/usr/bin/as-root -p -c 'id -u'", user="65534")
        assert result.output == "65534\n"


async def test_root_inside_is_nobody_outside(real: Bench, data_dir: Path) -> None:
    if real.case.gvisor:
        pytest.skip("gVisor runs as nobody's root anyway")
    async with real.sandbox() as sandbox:
        await shell(sandbox, "echo > /root/mine; sleep 100 & ")
        written = next(data_dir.glob(f"**/{sandbox.container_id}/disk/upper/root/mine"))
        assert written.stat().st_uid >= 1 << 30
        pid = sandbox.handle["pid"]
        assert Path(f"/proc/{pid}").stat().st_uid in (0, written.stat().st_uid)
        status = Path(f"/proc/{pid}/status").read_text()
        assert f"Uid:\t{written.stat().st_uid}\t" in status


async def _status(sandbox: Sandbox) -> dict[str, str]:
    lines = (await shell(sandbox, "cat /proc/self/status")).output.splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
