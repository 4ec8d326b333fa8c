"""From the first request to the first command's answer, beside the bare OCI runtime (the floor) and docker."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import hosts
from bench.docker import Docker, docker_or_note, runtime_name
from bench.floor import Floor, Model, Recorder
from bench.report import parse, parser, report_timings
from bench.timing import Comparison, Contender, Stopwatch, measure
from bench.wire import ApiClient

_GVISOR_TARGETS = 1.25, 0.45
_CONTAINER_TARGETS = 1.6, 0.2


def main() -> int:
    made = parser("create", __doc__, rounds=20)
    made.add_argument("--isolation", choices=("gvisor", "container", "both"), default="both")
    made.add_argument("--runsc", type=Path, action="append", default=[], help="measure this runsc too")
    options = parse(made)
    gvisor = hosts.runscs(options.runsc) if options.isolation != "container" else []
    container = hosts.container_runtimes() if options.isolation != "gvisor" else []
    with ExitStack() as stack:
        place = stack.enter_context(hosts.scratch())
        notes: list[str] = []
        daemon = docker_or_note(stack, place / "docker", gvisor, notes)
        contenders = [one for runtime in gvisor for one in _gvisor(stack, place, runtime, daemon)]
        if container:
            contenders += _container(stack, place, container, daemon, notes)
        results, skipped = measure(contenders, options.rounds)
    report_timings("create + first exec", results, [*notes, *skipped], options.json)
    return 0


def _gvisor(stack: ExitStack, place: Path, runtime: hosts.Runtime, daemon: Docker | None) -> list[Contender]:
    label = runtime.label
    floor, by_docker = f"{label}: run + agent (floor)", f"{label}: docker run + exec"
    at_most, of_docker = _GVISOR_TARGETS
    api, model = _api(stack, place / f"gvisor-{runtime_name(runtime)}", runtime)
    raw = Floor(place / "floor", runtime.program, model)
    contenders = [
        Contender(
            f"{label}: API",
            partial(_create_and_exec, api),
            (Comparison(floor, at_most), Comparison(by_docker, of_docker)),
        ),
        Contender(floor, raw.start_and_exec),
        Contender(f"{label}: run echo, no agent", raw.run_echo, optional=True),
    ]
    if daemon is not None:
        contenders.append(Contender(by_docker, partial(daemon.create_and_exec, runtime_name(runtime)), optional=True))
    return contenders


def _container(
    stack: ExitStack, place: Path, runtimes: list[hosts.Runtime], daemon: Docker | None, notes: list[str]
) -> list[Contender]:
    """The server takes the first runtime that works here; the floor is measured with each."""
    found = hosts.first_working(runtimes, lambda one: _api(stack, place / f"container-{one.label}", one), notes)
    if found is None:
        return []
    first, (api, model) = found
    at_most, of_docker = _CONTAINER_TARGETS
    by_docker = "runc: docker run + exec"
    # The target counts against runc; what the server takes may be faster.
    targets = {"runc": at_most}
    comparisons = [Comparison(_floor(runtime), targets.get(runtime.label)) for runtime in runtimes]
    contenders = [
        Contender(
            f"{first.label}: API", partial(_create_and_exec, api), (*comparisons, Comparison(by_docker, of_docker))
        )
    ]
    for runtime in runtimes:
        raw = Floor(place / "floor", runtime.program, model)
        contenders.append(Contender(_floor(runtime), raw.start_and_exec, optional=runtime != first))
        contenders.append(Contender(f"{runtime.label}: run echo, no agent", raw.run_echo, optional=True))
    if daemon is not None:
        contenders.append(Contender(by_docker, partial(daemon.create_and_exec, "runc"), optional=True))
    return contenders


def _floor(runtime: hosts.Runtime) -> str:
    return f"{runtime.label}: run + agent (floor)"


def _api(stack: ExitStack, place: Path, runtime: hosts.Runtime) -> tuple[ApiClient, Model]:
    """Start a server; return a client of it, and the sandbox that the floor's are made like."""
    recorder = Recorder(place / "runtime", runtime)
    running = stack.enter_context(hosts.server(place / "data", recorder.runtime))
    model = Model.make(running, recorder)
    return stack.enter_context(hosts.client(running)), model


def _create_and_exec(api: ApiClient, stopwatch: Stopwatch) -> None:
    api.reconnect()
    with stopwatch.running():
        # What docker is given too; without it the image's own command would run beside ours: a Python.
        container_id = api.create(**hosts.request(command=["sleep", "600"]))
        answer = api.exec(container_id, "echo", "hi")
    if answer["output"] != "hi\n":
        raise RuntimeError(f"no greeting but {answer}")
    api.delete(container_id)


if __name__ == "__main__":
    sys.exit(main())
