"""`echo` in a container that runs already: through the API, by the guest agent alone, and by docker."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.servers import RunningServer

from bench import hosts
from bench.docker import Docker, docker_or_note, runtime_name
from bench.report import parse, parser, report_timings
from bench.timing import Comparison, Contender, Stopwatch, measure
from bench.wire import AgentClient, ApiClient

_OF_AGENT, _OF_DOCKER = 1.5, 0.2
_PAUSE_SECONDS = 0.05


def main() -> int:
    made = parser("execute", __doc__, rounds=50)
    made.add_argument("--runsc", type=Path, action="append", default=[], help="measure this runsc too")
    options = parse(made)
    gvisor = hosts.runscs(options.runsc)
    with ExitStack() as stack:
        place = stack.enter_context(hosts.scratch())
        notes: list[str] = []
        daemon = docker_or_note(stack, place / "docker", gvisor, notes)
        contenders: list[Contender] = []
        for runtime in gvisor:
            running = _server(stack, place, runtime)
            contenders += _contenders(stack, running, runtime, daemon, runtime_name(runtime))
        found = hosts.first_working(hosts.container_runtimes(), lambda one: _server(stack, place, one), notes)
        if found is not None:
            contenders += _contenders(stack, found[1], found[0], daemon, "runc")
        results, skipped = measure(contenders, options.rounds, warm_up=3, pause=_PAUSE_SECONDS)
    report_timings("exec of echo in a running container", results, [*notes, *skipped], options.json)
    return 0


def _server(stack: ExitStack, place: Path, runtime: hosts.Runtime) -> RunningServer:
    return stack.enter_context(hosts.server(place / f"{runtime.isolation}-{runtime_name(runtime)}", runtime))


def _contenders(
    stack: ExitStack, running: RunningServer, runtime: hosts.Runtime, daemon: Docker | None, known_to_docker: str
) -> list[Contender]:
    label = runtime.label
    docker_label = label if runtime.isolation == "gvisor" else known_to_docker
    by_agent, by_docker = f"{label}: agent alone", f"{docker_label}: docker exec"
    api = stack.enter_context(hosts.client(running))
    container_id = api.create(**hosts.request(maxCostCredits=1000))
    api.exec(container_id, "true")
    folder = hosts.sandbox_folder(running, runtime.isolation, container_id)
    agent = stack.enter_context(AgentClient(*hosts.agent_socket(folder)))
    contenders = [
        Contender(
            f"{label}: API",
            partial(_by_api, api, container_id),
            (Comparison(by_agent, _OF_AGENT), Comparison(by_docker, _OF_DOCKER)),
        ),
        Contender(by_agent, partial(_by_agent, agent)),
    ]
    if daemon is not None:
        contenders.append(Contender(by_docker, _by_docker(daemon, known_to_docker), optional=True))
    return contenders


def _by_api(api: ApiClient, container_id: str, stopwatch: Stopwatch) -> None:
    api.reconnect()
    with stopwatch.running():
        answer = api.exec(container_id, "echo", "hi")
    if answer["output"] != "hi\n":
        raise RuntimeError(f"no greeting but {answer}")


def _by_agent(agent: AgentClient, stopwatch: Stopwatch) -> None:
    with stopwatch.running():
        identity, frames = agent.exec("echo", "hi")
    agent.forget(identity)
    if b"hi\n" not in frames:
        raise RuntimeError(f"no greeting but {frames[:300]!r}")


def _by_docker(daemon: Docker, runtime: str) -> Callable[[Stopwatch], None]:
    """The container is started with the first turn, and goes with the daemon's folder."""
    name = f"bench-{runtime}"
    started = False

    def run(stopwatch: Stopwatch) -> None:
        nonlocal started
        if not started:
            daemon.start(runtime, name)
            started = True
        with stopwatch.running():
            daemon.run("exec", name, "echo", "hi")

    return run


if __name__ == "__main__":
    sys.exit(main())
