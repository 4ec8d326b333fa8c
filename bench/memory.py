"""What the server takes: idle, with 50 running containers, and while containers come and go; and a sandbox itself."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table
from tests.servers import RunningServer

from bench import hosts
from bench.report import machine, parse, parser, show, write_json
from bench.wire import ApiClient

_SAMPLE_EVERY = 100
_MIB = 1 << 20
_SETTLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The server's resident memory at one moment, and what else was found then."""

    what: str
    server_bytes: int
    detail: str = ""


def main() -> int:
    made = parser("memory", __doc__)
    made.add_argument("--isolation", choices=("gvisor", "container"), default="gvisor")
    made.add_argument("--containers", type=int, default=50, help="how many run at the same time (50)")
    made.add_argument("--cycles", type=int, default=1000, help="how many are created and deleted (1000)")
    made.add_argument("--parallel", type=int, default=4, help="by how many clients (4)")
    options = parse(made)
    samples: list[Sample] = []
    notes: list[str] = []
    with hosts.one_server(options.isolation, notes) as (runtime, running):
        for sample in _samples(running, options.containers, options.cycles, options.parallel):
            print(f"{sample.what}: {sample.server_bytes / _MIB:.1f} MiB", file=sys.stderr)
            samples.append(sample)
    table = Table(title=f"memory, {runtime.label}", caption="\n".join((machine(), *notes)), caption_justify="left")
    table.add_column("when")
    table.add_column("server (RSS)", justify="right")
    table.add_column("more than idle", justify="right")
    table.add_column("beside it")
    idle = samples[0].server_bytes
    for sample in samples:
        more = f"{(sample.server_bytes - idle) / _MIB:+.1f} MiB"
        table.add_row(sample.what, f"{sample.server_bytes / _MIB:.1f} MiB", more, sample.detail)
    show(table)
    write_json(options.json, {"title": "memory", "runtime": runtime.label, "samples": list(map(asdict, samples))})
    return 0


def _samples(running: RunningServer, containers: int, cycles: int, parallel: int) -> Iterator[Sample]:
    time.sleep(_SETTLE_SECONDS)
    yield Sample("idle", running.memory_bytes())
    with hosts.client(running) as api:
        yield from _with_running(running, api, containers)
    done = 0
    while done < cycles:
        count = min(_SAMPLE_EVERY, cycles - done)
        begin = time.monotonic()
        _cycle(running, count, parallel)
        done += count
        rate = f"{count / (time.monotonic() - begin):.1f} a second"
        time.sleep(_SETTLE_SECONDS)
        yield Sample(f"after {done} created and deleted", running.memory_bytes(), rate)


def _with_running(running: RunningServer, api: ApiClient, count: int) -> Iterator[Sample]:
    before = _available_bytes()
    ids = []
    for _ in range(count):
        ids.append(api.create(**hosts.request(memoryMb=256, storageGb=1)))
        api.exec(ids[-1], "true")
    time.sleep(_SETTLE_SECONDS)
    used = (before - _available_bytes()) / count / _MIB
    own = sum(map(_proportional_bytes, ids)) / count / _MIB
    detail = f"each sandbox: {own:.1f} MiB of its processes' own, {used:.1f} MiB less available on the host"
    yield Sample(f"with {count} running", running.memory_bytes(), detail)
    for container_id in ids:
        api.reconnect()
        api.delete(container_id)
    time.sleep(_SETTLE_SECONDS)
    yield Sample("after their end", running.memory_bytes())


def _cycle(running: RunningServer, count: int, parallel: int) -> None:
    def one(_: int) -> None:
        with hosts.client(running) as api:
            container_id = api.create(**hosts.request(memoryMb=256))
            api.exec(container_id, "true")
            api.delete(container_id)

    with ThreadPoolExecutor(parallel) as pool:
        for _ in pool.map(one, range(count)):
            pass


def _available_bytes() -> int:
    return _kib(Path("/proc/meminfo"), "MemAvailable") * 1024


def _proportional_bytes(container_id: str) -> int:
    """Return what the processes of a sandbox take, shared pages by share."""
    found = 0
    for group in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            if container_id in group.read_text():
                found += _kib(group.with_name("smaps_rollup"), "Pss") * 1024
        except OSError:
            continue  # it has just ended
    return found


def _kib(file: Path, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", file.read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    sys.exit(main())
