"""A file of 100 MB, by a file call and in the JSON of an exec, beside a copy on the same disk."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.servers import RunningServer

from bench import hosts
from bench.report import parse, parser, report_timings
from bench.timing import Comparison, Contender, Stopwatch, measure
from bench.wire import ApiClient

_BYTES = 100_000_000
_AT_MOST = 5.0
_COPY, _SYNCED = "cp", "cp, then sync of the file"
_NAME = "/workspace/big.bin"


def main() -> int:
    options = parse(parser("upload", __doc__, rounds=10))
    with ExitStack() as stack:
        place = stack.enter_context(hosts.scratch())
        notes = ["plain cp leaves the copy in the page cache, as an upload does; the target counts against it"]
        content = os.urandom(_BYTES)
        source = place / "source"
        source.write_bytes(content)
        body = _body(content)
        contenders = [
            Contender(_COPY, partial(_copy, source, sync=False)),
            Contender(_SYNCED, partial(_copy, source, sync=True)),
        ]
        for runtime in hosts.runscs()[:1]:
            running = stack.enter_context(hosts.server(place / "gvisor", runtime))
            contenders += _uploads(stack, running, content, body, runtime)
        found = hosts.first_working(
            hosts.container_runtimes(), lambda one: stack.enter_context(hosts.server(place / one.label, one)), notes
        )
        if found is not None:
            contenders += _uploads(stack, found[1], content, body, found[0])
        results, skipped = measure(contenders, options.rounds)
    report_timings("upload of 100 MB", results, [*notes, *skipped], options.json)
    return 0


def _body(content: bytes) -> bytes:
    file = {"name": _NAME, "content": base64.b64encode(content).decode(), "encoding": "base64"}
    return json.dumps({"command": ["true"], "files": [file]}).encode()


def _uploads(
    stack: ExitStack, running: RunningServer, content: bytes, body: bytes, runtime: hosts.Runtime
) -> list[Contender]:
    api = stack.enter_context(hosts.client(running))
    container_id = api.create(**hosts.request(maxCostCredits=1000))
    api.exec(container_id, "true")
    comparisons = (Comparison(_COPY, _AT_MOST), Comparison(_SYNCED))

    def by_call() -> None:
        api.write_file(container_id, _NAME, content)

    def by_exec() -> None:
        api.exec_raw(container_id, body)

    return [
        Contender(f"{runtime.label}: {name}", partial(_send, api, container_id, send), comparisons)
        for name, send in (("file call", by_call), ("exec with the file", by_exec))
    ]


def _send(api: ApiClient, container_id: str, send: Callable[[], None], stopwatch: Stopwatch) -> None:
    api.reconnect()
    with stopwatch.running():
        send()
    answer = api.exec(container_id, "sh", "-c", f"stat -c %s {_NAME}; rm {_NAME}")
    if answer["output"] != f"{_BYTES}\n":
        raise RuntimeError(f"not uploaded: {answer}")


def _copy(source: Path, stopwatch: Stopwatch, *, sync: bool) -> None:
    target = source.with_name("copy")
    with stopwatch.running():
        subprocess.run(["cp", source, target], check=True)
        if sync:
            subprocess.run(["sync", target], check=True)
    target.unlink()


if __name__ == "__main__":
    sys.exit(main())
