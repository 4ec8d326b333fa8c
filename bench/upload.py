"""A file of 100 MB, sent in the JSON of an exec, beside a copy on the same disk."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
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
            contenders.append(
                _upload(stack, stack.enter_context(hosts.server(place / "gvisor", runtime)), body, runtime)
            )
        found = hosts.first_working(
            hosts.container_runtimes(), lambda one: stack.enter_context(hosts.server(place / one.label, one)), notes
        )
        if found is not None:
            contenders.append(_upload(stack, found[1], body, found[0]))
        results, skipped = measure(contenders, options.rounds)
    report_timings("upload of 100 MB", results, [*notes, *skipped], options.json)
    return 0


def _body(content: bytes) -> bytes:
    file = {"name": _NAME, "content": base64.b64encode(content).decode(), "encoding": "base64"}
    return json.dumps({"command": ["stat", "-c", "%s", _NAME], "files": [file]}).encode()


def _upload(stack: ExitStack, running: RunningServer, body: bytes, runtime: hosts.Runtime) -> Contender:
    api = stack.enter_context(hosts.client(running))
    container_id = api.create(**hosts.request(maxCostCredits=1000))
    api.exec(container_id, "true")
    comparisons = (Comparison(_COPY, _AT_MOST), Comparison(_SYNCED))
    return Contender(f"{runtime.label}: exec with the file", partial(_send, api, container_id, body), comparisons)


def _send(api: ApiClient, container_id: str, body: bytes, stopwatch: Stopwatch) -> None:
    api.reconnect()
    with stopwatch.running():
        answer = api.exec_raw(container_id, body)
    if answer["output"] != f"{_BYTES}\n":
        raise RuntimeError(f"not uploaded: {answer}")
    api.exec(container_id, "rm", _NAME)


def _copy(source: Path, stopwatch: Stopwatch, *, sync: bool) -> None:
    target = source.with_name("copy")
    with stopwatch.running():
        subprocess.run(["cp", source, target], check=True)
        if sync:
            subprocess.run(["sync", target], check=True)
    target.unlink()


if __name__ == "__main__":
    sys.exit(main())
