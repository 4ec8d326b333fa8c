"""Control groups: a group per sandbox that bounds it, counts for it, and ends everything in it.

Both cgroup versions are spoken. Version 1 (a hierarchy per controller, here and there still in use) needs the
same directory in each; version 2 has one. The limits stand on the group `<parent>/<name>`. A *nested* one has two
children: `runtime`, in which the OCI runtime's own commands run, and `sandbox`, which must be empty for it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cognitora_server.host.mounts import mounts

CONTROLLERS = ("cpu", "cpuacct", "memory", "pids")
"""Without these nothing can be bounded. Version 2 counts CPU time in `cpu`."""

RUNTIME = "runtime"
SANDBOX = "sandbox"

PERIOD_US = 100_000
_SMALLEST_QUOTA_US = 1_000
_KILL_SECONDS = 10.0
_REMOVE_SECONDS = 5.0


class CgroupsUnavailable(Exception):
    """This host's control groups cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a group may use at most: memory in bytes (no swap beside it), and how many processes."""

    memory_bytes: int
    pids: int


class Hierarchy:
    """Where the controllers of this host are mounted."""

    def __init__(self, version: int, roots: Mapping[str, Path], every: tuple[Path, ...]) -> None:
        self.version = version
        self._roots = roots
        self.every = every

    @classmethod
    def detect(cls) -> Hierarchy:
        """Look at what is mounted. Raises CgroupsUnavailable with what is missing."""
        v1: dict[str, Path] = {}
        v2: Path | None = None
        every: list[Path] = []
        for point in mounts():
            if point.fstype == "cgroup2":
                v2 = v2 or point.target
            elif point.fstype == "cgroup":
                v1.update({option: point.target for option in point.super_options.split(",")})
            else:
                continue
            every.append(point.target)
        if all(name in v1 for name in CONTROLLERS):
            return cls(1, {name: v1[name] for name in CONTROLLERS}, tuple(every))
        if v2 is None:
            raise CgroupsUnavailable("no control groups are mounted at /sys/fs/cgroup")
        here = set((v2 / "cgroup.controllers").read_text().split())
        missing = {"cpu", "memory", "pids"} - here
        if missing:
            raise CgroupsUnavailable(f"the control group controllers {', '.join(sorted(missing))} are missing")
        return cls(2, {name: v2 for name in CONTROLLERS}, (v2,))

    def root(self, controller: str) -> Path:
        """Return where `controller` is mounted."""
        return self._roots[controller]

    @property
    def roots(self) -> tuple[Path, ...]:
        """The distinct mount points of the controllers we use."""
        return tuple(dict.fromkeys(self._roots.values()))


class Cgroups:
    """The groups of one owner, below `/<parent>`; another owner on the same host takes another `parent`."""

    def __init__(self, hierarchy: Hierarchy, parent: str, *, nested: bool) -> None:
        self._hierarchy = hierarchy
        self._parent = PurePosixPath(parent)
        self._nested = nested

    def prepare(self) -> None:
        """Make the parent group. Raises CgroupsUnavailable where the kernel or a container refuses."""
        try:
            for root in self._hierarchy.roots:
                (root / self._parent).mkdir(exist_ok=True)
            if self._hierarchy.version == 2:
                root = self._hierarchy.root("memory")
                _delegate(root)
                _delegate(root / self._parent)
        except OSError as error:
            raise CgroupsUnavailable(f"a control group cannot be made: {error.strerror}") from error

    def group(self, name: str) -> Cgroup:
        """Return the group of this name, whether it is there or not."""
        return Cgroup(self._hierarchy, self._parent / name, nested=self._nested)

    def names(self) -> set[str]:
        """Return the names of all groups that are there, whole or in pieces."""
        found: set[str] = set()
        for root in self._hierarchy.every:
            with suppress(FileNotFoundError):
                found.update(entry.name for entry in os.scandir(root / self._parent) if entry.is_dir())
        return found

    def remove(self) -> None:
        """Remove the parent group if nothing is in it."""
        for root in self._hierarchy.every:
            with suppress(OSError):
                (root / self._parent).rmdir()


class Cgroup:
    """The group of one sandbox. Only a name: it can be asked for and removed whether or not it is there."""

    def __init__(self, hierarchy: Hierarchy, path: PurePosixPath, *, nested: bool) -> None:
        self._hierarchy = hierarchy
        self._path = path
        self._nested = nested

    @property
    def sandbox_path(self) -> str:
        """The path for `linux.cgroupsPath` of an OCI runtime."""
        return f"/{self._path / SANDBOX if self._nested else self._path}"

    @property
    def entry_files(self) -> list[Path]:
        """The files into which a process writes itself to be in this group, as the OCI runtime's command."""
        path = self._path / RUNTIME if self._nested else self._path
        return [root / path / "cgroup.procs" for root in self._hierarchy.roots]

    def create(self, limits: Limits) -> None:
        """Make the group with its limits."""
        for root in self._hierarchy.roots:
            (root / self._path).mkdir(exist_ok=True)
        if self._hierarchy.version == 2:
            self._limit_v2(limits)
        else:
            self._limit_v1(limits)
        if self._nested:
            for root in self._hierarchy.roots:
                (root / self._path / RUNTIME).mkdir(exist_ok=True)

    def limit_cpu(self, cores: float) -> None:
        """Bound the CPU time of all of it to `cores` seconds a second; a fraction is fine."""
        quota = max(_SMALLEST_QUOTA_US, round(cores * PERIOD_US))
        # The child first: version 1 refuses a limit below a child's.
        for path in (self._path / SANDBOX, self._path):
            directory = self._hierarchy.root("cpu") / path
            if not directory.is_dir():
                continue
            if self._hierarchy.version == 2:
                with suppress(FileNotFoundError):  # not delegated to the child: the group's own limit holds
                    _write(directory / "cpu.max", f"{quota} {PERIOD_US}")
            else:
                _write(directory / "cpu.cfs_period_us", PERIOD_US)
                _write(directory / "cpu.cfs_quota_us", quota)

    def cpu_seconds(self) -> float:
        """Return the CPU time used so far, in seconds."""
        if self._hierarchy.version == 2:
            return _field(self._file("cpu", "cpu.stat"), "usage_usec") / 1e6
        return _number(self._file("cpuacct", "cpuacct.usage")) / 1e9

    def memory_peak(self) -> int:
        """Return the highest memory use so far, in bytes (Linux before 5.19 with version 2: the current use)."""
        if self._hierarchy.version == 2:
            return _number(self._file("memory", "memory.peak")) or _number(self._file("memory", "memory.current"))
        return _number(self._file("memory", "memory.max_usage_in_bytes"))

    def memory_limit(self) -> int:
        """Return the memory limit in bytes; 0 where there is none."""
        name = "memory.max" if self._hierarchy.version == 2 else "memory.limit_in_bytes"
        return _number(self._file("memory", name))

    def oom_kills(self) -> int:
        """Return how many processes the kernel has killed here because memory ran out."""
        if self._hierarchy.version == 2:
            return _field(self._file("memory", "memory.events"), "oom_kill")
        # Version 1 counts where the victim was, not above.
        top = self._hierarchy.root("memory") / self._path
        return sum(_field(folder / "memory.oom_control", "oom_kill") for folder in _tree(top))

    def exists(self) -> bool:
        """Say whether any piece of the group is there."""
        return any((root / self._path).is_dir() for root in self._hierarchy.every)

    def processes(self) -> set[int]:
        """Return the ids of all processes in the group."""
        found: set[int] = set()
        for root in self._hierarchy.roots:
            for folder in _tree(root / self._path):
                with suppress(OSError):
                    found.update(int(line) for line in (folder / "cgroup.procs").read_text().split())
        return found

    async def kill(self) -> None:
        """End every process in the group and return when none is left. Raises TimeoutError after 10 seconds."""
        if not self.exists():
            return
        # No more forks: then each round leaves less to kill.
        with suppress(OSError):
            _write(self._file("pids", "pids.max"), 0)
        deadline, pause = time.monotonic() + _KILL_SECONDS, 0.001
        while left := self._kill_once():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(left)} processes do not end")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.05)

    async def remove(self) -> None:
        """Remove the group, which must be empty, from every hierarchy. Gone already: no error."""
        deadline = time.monotonic() + _REMOVE_SECONDS
        while True:
            try:
                for root in self._hierarchy.every:
                    _remove_tree(root / self._path)
            except OSError as error:
                # The kernel lets go of a group a moment after its last process.
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.005)
            else:
                return

    def _limit_v1(self, limits: Limits) -> None:
        _write(self._file("memory", "memory.limit_in_bytes"), limits.memory_bytes)
        for name, value in (
            ("memory.memsw.limit_in_bytes", limits.memory_bytes),
            ("memory.swappiness", 0),
        ):
            with suppress(OSError):  # kernels without swap accounting
                _write(self._file("memory", name), value)
        _write(self._file("pids", "pids.max"), limits.pids)

    def _limit_v2(self, limits: Limits) -> None:
        if self._nested:
            _delegate(self._hierarchy.root("memory") / self._path)
        _write(self._file("memory", "memory.max"), limits.memory_bytes)
        with suppress(OSError):  # kernels without swap accounting
            _write(self._file("memory", "memory.swap.max"), 0)
        _write(self._file("pids", "pids.max"), limits.pids)

    def _kill_once(self) -> set[int]:
        if self._hierarchy.version == 2:
            with suppress(OSError):  # Linux 5.14
                _write(self._file("memory", "cgroup.kill"), 1)
        left = self.processes()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left

    def _file(self, controller: str, name: str) -> Path:
        return self._hierarchy.root(controller) / self._path / name


def _delegate(folder: Path) -> None:
    """Let children of a version 2 group be bounded too."""
    _write(folder / "cgroup.subtree_control", "+cpu +memory +pids")


def _tree(top: Path) -> Iterator[Path]:
    """Yield the groups at and below `top`, deepest first; nothing where there is none."""
    with suppress(FileNotFoundError):
        for entry in os.scandir(top):
            if entry.is_dir(follow_symlinks=False):
                yield from _tree(Path(entry.path))
        yield top


def _remove_tree(top: Path) -> None:
    for folder in _tree(top):
        with suppress(FileNotFoundError):
            folder.rmdir()


def _write(file: Path, value: int | str) -> None:
    # Path.write_text would try to create the file, which cgroup file systems answer with EPERM.
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)


def _number(file: Path) -> int:
    try:
        text = file.read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def _field(file: Path, name: str) -> int:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    pairs = (line.split(" ") for line in lines)
    return next((int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == name), 0)
