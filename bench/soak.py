"""Many one-shot containers, several at a time: all end COMPLETED and nothing is left, else the exit status is 1."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from rich.table import Table
from tests.servers import RunningServer

from bench import hosts
from bench.report import machine, parse, parser, show, write_json

_MIB = 1 << 20
_ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TERMINATED", "TIMEOUT"}
_POLL_SECONDS = 0.1
_CONTAINER_SECONDS = 300.0
_CLEAN_SECONDS = 30.0


def main() -> int:
    made = parser("soak", __doc__)
    made.add_argument("--isolation", choices=("gvisor", "container"), default="gvisor")
    made.add_argument("--count", type=int, default=1000, help="how many containers (1000)")
    made.add_argument("--parallel", type=int, default=20, help="how many at a time (20)")
    options = parse(made)
    notes: list[str] = []
    with hosts.one_server(options.isolation, notes) as (runtime, running):
        before = running.memory_bytes()
        begin = time.monotonic()
        with ThreadPoolExecutor(options.parallel) as pool:
            ended = dict(pool.map(lambda _: _one(running), range(options.count)))
        seconds = time.monotonic() - begin
        left = _left(running, set(ended))
        after = running.memory_bytes()
    states = Counter(ended.values())
    good = states == Counter(COMPLETED=options.count) and not left
    table = Table(title=f"{options.count} one-shot containers, {options.parallel} at a time, {runtime.label}")
    table.caption, table.caption_justify = "\n".join((machine(), *notes, *left[:10])), "left"
    for heading in ("ended", "left behind", "seconds", "a second", "server before", "server after"):
        table.add_column(heading, justify="right")
    table.add_row(
        ", ".join(f"{count} {state}" for state, count in states.most_common()),
        str(len(left)),
        f"{seconds:.1f}",
        f"{options.count / seconds:.1f}",
        f"{before / _MIB:.1f} MiB",
        f"{after / _MIB:.1f} MiB",
    )
    show(table)
    figures = {"seconds": seconds, "server_before": before, "server_after": after, "left": left, "states": states}
    write_json(options.json, {"title": "soak", "runtime": runtime.label, **figures})
    return 0 if good else 1


def _one(running: RunningServer) -> tuple[str, str]:
    """Create a container, wait for its end; return its id and state."""
    with hosts.client(running) as api:
        container_id = api.create(**hosts.request(persistent=False, command=["echo", "hi"], memoryMb=256))
        deadline = time.monotonic() + _CONTAINER_SECONDS
        while time.monotonic() < deadline:
            status = str(api.container(container_id)["status"])
            if status in _ENDED:
                return container_id, status
            time.sleep(_POLL_SECONDS)
    return container_id, "UNFINISHED"


def _left(running: RunningServer, ids: set[str]) -> list[str]:
    """Return what is left on the host of these containers, when the server has had time to clear away."""
    deadline = time.monotonic() + _CLEAN_SECONDS
    while True:
        # Other servers may run on this host: only our own count.
        left = [trace for trace in running.traces() if ids.intersection(re.findall(r"cnt_\w+", trace))]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
