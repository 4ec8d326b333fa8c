"""Docker as people use it, for comparison: a daemon of our own, started by hand, that touches nothing of the host's."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import hosts
from bench.timing import Stopwatch
from cognitora_server.host.cgroups import Cgroups, Hierarchy
from cognitora_server.host.mounts import unmount_below

INSTALL = "apt-get install --no-install-recommends docker.io containerd"

_START_SECONDS = 60
_STOP_SECONDS = 30
_CGROUP = "cognitora-bench-docker"
_SYSTEM_FOLDERS = "/usr/bin:/usr/sbin:/bin:/sbin"

# runsc's own network needs a network namespace that docker has set up; there is none without a bridge.
_WRAPPER = """#!/bin/sh
exec "{program}" --network=none "$@"
"""


class DockerUnavailable(Exception):
    """There is no docker to compare with; the message says why."""


class Docker:
    """A daemon that runs, with the image of the benchmarks."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._client = _program("docker")
        self._environment = {**os.environ, "DOCKER_HOST": f"unix://{place}/s", "DOCKER_CONFIG": str(place / "client")}

    def run(self, *arguments: str) -> str:
        """Run `docker` with these arguments; return what it prints. Raises RuntimeError."""
        done = subprocess.run(
            [self._client, *arguments], env=self._environment, capture_output=True, text=True, timeout=120
        )
        if done.returncode != 0:
            raise RuntimeError(f"docker {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def load(self, image: str) -> None:
        """Copy an image from the benchmarks' storage."""
        command = ["podman", "--root", hosts.IMAGE_STORAGE, "save", image]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as save:
            subprocess.run(
                [self._client, "load"], stdin=save.stdout, env=self._environment, capture_output=True, check=True
            )
        if save.returncode != 0:
            raise RuntimeError(f"podman has no image {image}")

    def create_and_exec(self, runtime: str, stopwatch: Stopwatch) -> None:
        """`docker run -d IMAGE sleep 600`, then `docker exec … echo hi`."""
        name = f"bench-{secrets.token_hex(4)}"
        try:
            with stopwatch.running():
                self.start(runtime, name)
                said = self.run("exec", name, "echo", "hi")
            if said != "hi\n":
                raise RuntimeError(f"no greeting but {said!r}")
        finally:
            self.remove(name)

    def start(self, runtime: str, name: str) -> None:
        """Start a container that sleeps."""
        self.run("run", "-d", "--name", name, "--runtime", runtime, "--network", "none", hosts.IMAGE, "sleep", "600")

    def remove(self, name: str) -> None:
        """Remove a container."""
        self.run("rm", "--force", name)

    def remove_all(self) -> None:
        """Remove what still runs: containers outlive their daemon."""
        for name in self.run("ps", "--all", "--quiet").split():
            self.remove(name)

    def ready(self) -> bool:
        """Say whether the daemon answers."""
        try:
            self.run("version")
        except RuntimeError:
            return False
        return True


def runtime_name(runtime: hosts.Runtime) -> str:
    """Return under which name docker knows a runtime: only some characters are allowed."""
    return "".join(letter if letter.isalnum() else "-" for letter in runtime.label)


@contextmanager
def docker(place: Path, runtimes: Sequence[hosts.Runtime]) -> Iterator[Docker]:
    """Start a daemon that knows these runtimes, with the benchmarks' image. Raises DockerUnavailable."""
    daemon = _program("dockerd")
    _program("containerd")
    place.mkdir(parents=True)
    settings = place / "daemon.json"
    settings.write_text(
        json.dumps({"runtimes": {runtime_name(one): {"path": _wrapper(place, one)} for one in runtimes}})
    )
    command = [
        daemon,
        f"--config-file={settings}",
        f"--data-root={place / 'data'}",
        f"--exec-root={place / 'exec'}",
        f"--pidfile={place / 'pid'}",
        f"--host=unix://{place / 's'}",
        f"--cgroup-parent=/{_CGROUP}",
        "--bridge=none",
        "--iptables=false",
        "--ip-forward=false",
        "--ip-masq=false",
    ]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        started = Docker(place)
        _await(started, process)
        started.load(hosts.IMAGE)
        yield started
        started.remove_all()
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        finally:
            process.kill()
            unmount_below(place)
            Cgroups(Hierarchy.detect(), _CGROUP, nested=False).remove()


def docker_or_note(stack: ExitStack, place: Path, runtimes: Sequence[hosts.Runtime], notes: list[str]) -> Docker | None:
    """Start docker for as long as `stack` lasts; without it add a line to `notes` that says why."""
    try:
        return stack.enter_context(docker(place, runtimes))
    except DockerUnavailable as error:
        notes.append(f"without docker: {error}")
        return None


def _await(started: Docker, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not started.ready():
        if process.poll() is not None or time.monotonic() > deadline:
            last = (started.place / "log").read_text(errors="replace").strip().splitlines()[-1:]
            raise DockerUnavailable(f"dockerd does not start here: {' '.join(last)[-300:]}")
        time.sleep(0.1)


def _wrapper(place: Path, runtime: hosts.Runtime) -> str:
    if runtime.isolation != "gvisor":
        return str(runtime.program)
    script = place / f"{runtime_name(runtime)}.sh"
    script.write_text(_WRAPPER.format(program=runtime.program))
    script.chmod(0o755)
    return str(script)


def _program(name: str) -> str:
    # The distribution's own first: client and daemon of one version.
    found = shutil.which(name, path=_SYSTEM_FOLDERS) or shutil.which(name)
    if found is None:
        raise DockerUnavailable(f"{name} is not installed. To compare with docker: {INSTALL}")
    return found
