"""The floor: what an OCI runtime needs to start the same sandbox, by itself, and our guest agent to answer in it.

A real sandbox of the driver is the model: its `config.json` and the very arguments that the runtime was given. What
each copy needs of its own (control group, folders to write to, bundle) is made before the clock runs.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any

from tests.servers import RunningServer

from bench import hosts
from bench.timing import Stopwatch
from bench.wire import AgentClient
from cognitora_server.drivers.oci.layout import GUEST_SOCKETS, SOCKET_NAME, SandboxFolder
from cognitora_server.drivers.oci.ready import remove_folder
from cognitora_server.host.cgroups import Cgroup, Cgroups, Hierarchy, Limits
from cognitora_server.host.sockets import listen_at

_LIMITS = Limits(memory_bytes=512 << 20, pids=1024)
_PARENT = "cognitora-bench"

_RECORDER = """#!/bin/sh
for last; do :; done
case " $* " in *" run "*) printf '%s\\n' "$@" > "{folder}/$last" ;; esac
exec "{program}" "$@"
"""

# Into the control groups, the listening socket from standard input to descriptor 3, and a pipe as standard input: some
# runtimes give the owner of their standard input away, which must not be the host's /dev/null.
_START = """
while [ "$1" != -- ]; do echo $$ > "$1" || exit 125; shift; done
shift
exec 3<&0
exec "$@" <<END
END
"""


class Recorder:
    """Stands where a server looks for its runtime: at first writes down how it is called, later is the runtime."""

    def __init__(self, place: Path, runtime: hosts.Runtime) -> None:
        place.mkdir(parents=True)
        self._log = place / "log"
        self._log.mkdir()
        self._program = runtime.program
        script = place / "recorder"
        script.write_text(_RECORDER.format(folder=self._log, program=runtime.program))
        script.chmod(0o755)
        # Its own name: runtimes and drivers look at that.
        self._link = place / runtime.program.name
        self._link.symlink_to(script)
        self.runtime = hosts.Runtime(runtime.isolation, self._link, runtime.label)

    def arguments(self, container_id: str) -> list[str]:
        """Return with what a container was started, without the program's name."""
        return (self._log / container_id).read_text().splitlines()

    def step_aside(self) -> None:
        """From now on the server starts the runtime itself."""
        link = self._link.with_name("new")
        link.symlink_to(self._program)
        link.rename(self._link)


@dataclass(frozen=True, slots=True)
class Model:
    """A sandbox that the driver made and that runs: others are started like it, beside it."""

    container_id: str
    folder: SandboxFolder
    arguments: list[str]
    config: dict[str, Any]
    nested: bool

    @classmethod
    def make(cls, running: RunningServer, recorder: Recorder) -> Model:
        """Let the server make a container, and read how it did it."""
        with hosts.client(running) as api:
            container_id = api.create(**hosts.request(maxCostCredits=1000))
            api.exec(container_id, "true")
        recorder.step_aside()
        folder = hosts.sandbox_folder(running, recorder.runtime.isolation, container_id)
        config = json.loads((folder.bundle / "config.json").read_text())
        nested = not config["linux"]["cgroupsPath"].endswith(container_id)
        return cls(container_id, folder, recorder.arguments(container_id), config, nested)


class Floor:
    """Starts sandboxes like the model with `program`."""

    def __init__(self, place: Path, program: Path, model: Model) -> None:
        self._place = place
        self._program = program
        self._model = model
        self._cgroups = Cgroups(Hierarchy.detect(), _PARENT, nested=model.nested)

    def start_and_exec(self, stopwatch: Stopwatch) -> None:
        """`run --detach`, then `echo hi` by the agent inside."""
        with self._copy() as one, self._listener(one.folder) as listener:
            with stopwatch.running():
                one.start(listener)
                with AgentClient(one.folder.path if listener else one.folder.sockets, SOCKET_NAME) as agent:
                    _, frames = agent.exec("echo", "hi")
            if b"hi\n" not in frames:
                raise RuntimeError(f"no greeting but {frames[:300]!r}")

    def run_echo(self, stopwatch: Stopwatch) -> None:
        """`run` in the foreground, with `echo hi` in the agent's place."""
        with self._copy("echo", "hi") as one, stopwatch.running():
            one.start(None)

    @contextmanager
    def _copy(self, *command: str) -> Iterator[_Copy]:
        name = f"bench-{secrets.token_hex(4)}"
        folder = SandboxFolder(self._place / name)
        folder.path.mkdir(parents=True)
        folder.make()
        folder.fill_disk()
        self._cgroups.prepare()
        group = self._cgroups.group(name)
        group.create(_LIMITS)
        # gVisor shows as many processors as its group may use, and never fewer than two.
        group.limit_cpu(max(2, os.cpu_count() or 2))
        one = _Copy(self._program, self._arguments(name, folder, bool(command)), folder, group)
        (folder.bundle / "config.json").write_text(json.dumps(self._config(folder, group, command)))
        try:
            yield one
        finally:
            one.remove(name)
            self._cgroups.remove()

    @contextmanager
    def _listener(self, folder: SandboxFolder) -> Iterator[socket | None]:
        """The agent's socket, where the host makes it and hands it over."""
        if "fd:3" not in self._model.config["process"]["args"]:
            yield None
            return
        with listen_at(folder.path, SOCKET_NAME) as listener:
            yield listener

    def _arguments(self, name: str, folder: SandboxFolder, foreground: bool) -> list[str]:
        """The model's arguments, with this copy's folder and name in the place of its own."""
        changed = (
            argument.replace(str(self._model.folder.path), str(folder.path)).replace(self._model.container_id, name)
            for argument in self._model.arguments
        )
        return [
            argument for argument in changed if not (foreground and argument.startswith(("--detach", "--preserve")))
        ]

    def _config(self, folder: SandboxFolder, group: Cgroup, command: tuple[str, ...]) -> dict[str, Any]:
        config = copy.deepcopy(self._model.config)
        config["linux"]["cgroupsPath"] = group.sandbox_path
        for mount in config["mounts"]:
            if mount["destination"] == GUEST_SOCKETS:
                mount["source"] = str(folder.sockets)
        if command:
            config["process"]["args"] = list(command)
        return config


@dataclass(frozen=True, slots=True)
class _Copy:
    program: Path
    arguments: list[str]
    folder: SandboxFolder
    group: Cgroup

    def start(self, listener: socket | None) -> None:
        command = ["/bin/sh", "-c", _START, "sh", *map(str, self.group.entry_files), "--", str(self.program)]
        command += self.arguments
        output = self.folder.open_output()
        try:
            stdin = subprocess.DEVNULL if listener is None else listener.fileno()
            done = subprocess.run(command, stdin=stdin, stdout=output, stderr=output, timeout=60)
        finally:
            os.close(output)
        if done.returncode != 0:
            raise RuntimeError(f"{self.program.name} ended with {done.returncode}: {self.folder.read_output()[-500:]}")

    def remove(self, name: str) -> None:
        before_verb = itertools.takewhile(lambda argument: argument != "run", self.arguments)
        subprocess.run([self.program, *before_verb, "delete", "--force", name], capture_output=True, timeout=60)
        asyncio.run(self._remove_group())
        remove_folder(self.folder.path)

    async def _remove_group(self) -> None:
        await self.group.kill()
        await self.group.remove()
