"""Control groups of both versions, as far as this host has them."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cognitora_server.domain.containers import MIB
from cognitora_server.host.cgroups import CONTROLLERS, Cgroups, CgroupsUnavailable, Hierarchy, Limits
from cognitora_server.host.mounts import mounts

_LIMITS = Limits(memory_bytes=64 * MIB, pids=50)
_STUBBORN = "trap '' TERM INT HUP; (setsid sleep 100 &); while :; do (sleep 100) & sleep 0.01; done"


@pytest.fixture
def parent() -> str:
    if os.geteuid() != 0:
        pytest.skip("control groups need root")
    return f"cognitora-test-{secrets.token_hex(4)}"


@pytest.fixture
def groups(parent: str) -> Iterator[Cgroups]:
    """Groups on this host, of the version it has."""
    try:
        found = Cgroups(Hierarchy.detect(), parent, nested=True)
        found.prepare()
    except CgroupsUnavailable as error:
        pytest.skip(str(error))
    yield found
    found.remove()
    assert not found.names()


def _start(files: list[Path], script: str) -> subprocess.Popen[bytes]:
    entering = "".join(f"echo $$ > {file}; " for file in files)
    return subprocess.Popen(["/bin/sh", "-c", entering + script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def test_a_group_limits_counts_kills_and_goes(groups: Cgroups) -> None:
    group = groups.group("one")
    group.create(_LIMITS)
    group.create(_LIMITS)
    group.limit_cpu(0.5)
    assert groups.names() == {"one"}
    assert group.memory_limit() == _LIMITS.memory_bytes
    process = _start(group.entry_files, _STUBBORN)
    while len(group.processes()) < 10:
        time.sleep(0.01)
    assert len(group.processes()) <= _LIMITS.pids
    await group.kill()
    assert not group.processes()
    assert process.wait(5) == -9
    assert group.cpu_seconds() > 0
    assert group.memory_peak() > 0
    assert group.oom_kills() == 0
    await group.remove()
    assert not group.exists()


async def test_what_is_not_there_can_be_killed_and_removed(groups: Cgroups) -> None:
    group = groups.group("never-made")
    await group.kill()
    await group.remove()
    assert group.processes() == set()
    assert (group.cpu_seconds(), group.memory_peak(), group.memory_limit(), group.oom_kills()) == (0, 0, 0, 0)


async def test_version_2_kills_with_one_write(parent: str) -> None:
    found = [point.target for point in mounts() if point.fstype == "cgroup2"]
    if not found:
        pytest.skip("version 2 is not mounted")
    # Where version 1 has the controllers, version 2 still groups and kills.
    hierarchy = Hierarchy(2, dict.fromkeys(CONTROLLERS, found[0]), (found[0],))
    group = Cgroups(hierarchy, parent, nested=False).group("one")
    (found[0] / parent / "one" / "below").mkdir(parents=True)
    process = _start([found[0] / parent / "one" / "below" / "cgroup.procs"], "sleep 100")
    while not group.processes():
        time.sleep(0.01)
    await group.kill()
    assert process.wait(5) == -9
    await group.remove()
    (found[0] / parent).rmdir()


def test_version_2_limits(tmp_path: Path) -> None:
    """What is written where; a folder stands in for a hierarchy, as few hosts have both versions' controllers."""
    files = ("cgroup.subtree_control", "memory.max", "memory.swap.max", "pids.max", "cpu.max")
    for folder in (tmp_path, tmp_path / "parent", tmp_path / "parent" / "one", tmp_path / "parent" / "one" / "sandbox"):
        folder.mkdir(exist_ok=True)
        for name in files:
            (folder / name).touch()
    groups = Cgroups(Hierarchy(2, dict.fromkeys(CONTROLLERS, tmp_path), (tmp_path,)), "parent", nested=True)
    groups.prepare()
    group = groups.group("one")
    group.create(_LIMITS)
    group.limit_cpu(1.5)
    one = tmp_path / "parent" / "one"
    for folder in (tmp_path, tmp_path / "parent", one):
        assert (folder / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    values = [(one / name).read_text() for name in files[1:]]
    assert values == [str(64 * MIB), "0", "50", "150000 100000"]
    assert (one / "sandbox" / "cpu.max").read_text() == "150000 100000"
    assert group.sandbox_path == "/parent/one/sandbox"
    assert group.entry_files == [one / "runtime" / "cgroup.procs"]
    (one / "memory.events").write_text("low 0\nmax 12\noom 3\noom_kill 2\n")
    (one / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    (one / "memory.peak").write_text("1234\n")
    assert (group.oom_kills(), group.cpu_seconds(), group.memory_peak()) == (2, 2.5, 1234)
