"""What is measured: real servers, each with one OCI runtime, on a data directory of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.servers import COGNITORA, PYTHON_IMAGE, STORAGE, RunningServer

from bench.wire import ApiClient
from cognitora_server.drivers.oci import find_program, find_runsc
from cognitora_server.drivers.oci.layout import SOCKET_NAME, SandboxFolder
from cognitora_server.drivers.oci.runsc import runsc_version
from cognitora_server.host.mounts import unmount_below

Started = TypeVar("Started")

IMAGE = PYTHON_IMAGE
IMAGE_STORAGE = STORAGE["COGNITORA_STORAGE_ROOT"]
_LIBEXEC = Path(".venv/libexec")
#: Nothing that is measured waits for room.
_ROOM = {"COGNITORA_CPU_OVERCOMMIT": "1000", "COGNITORA_MEMORY_OVERCOMMIT": "1000", "COGNITORA_MAX_CONTAINERS": "5000"}


@dataclass(frozen=True, slots=True)
class Runtime:
    """An OCI runtime, with the isolation that it gives and a name to show."""

    isolation: str
    program: Path
    label: str

    @property
    def environment(self) -> dict[str, str]:
        """Settings of a server that shall use it."""
        setting = "RUNSC" if self.isolation == "gvisor" else "OCI_RUNTIME"
        return {
            f"COGNITORA_{setting}": str(self.program),
            "COGNITORA_ISOLATION": self.isolation,
            "COGNITORA_MINIMUM_ISOLATION": self.isolation,
        }


def runscs(more: Sequence[Path] = ()) -> list[Runtime]:
    """Return each runsc of this checkout, and those in `more`; the same program once."""
    found = find_runsc()
    candidates = [*([found] if found else []), *sorted(_LIBEXEC.glob("runsc-*")), *more]
    programs = {program.resolve(): program.resolve() for program in candidates if program.is_file()}
    labels: dict[str, Path] = {}
    for program in programs:
        version = asyncio.run(runsc_version(program))
        label = f"runsc {version.date or version.text}"
        while label in labels:
            label += "'"
        labels[label] = program
    return [Runtime("gvisor", program, label) for label, program in labels.items()]


def container_runtimes() -> list[Runtime]:
    """Return crun and runc, whichever there are, in the order in which the `container` driver takes them."""
    found = ((name, find_program(name)) for name in ("crun", "runc"))
    return [Runtime("container", program, name) for name, program in found if program is not None]


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder (below $TMPDIR, else /tmp) that goes with the benchmark; everything is on its disk.

    The image is seen to as well: the tests' own storage has it, or it is built there.
    """
    command: list[str | Path] = [COGNITORA, "images", "bootstrap", "python", "--stand-ins"]
    subprocess.run(command, env={**os.environ, **STORAGE}, check=True, capture_output=True, timeout=600)
    path = Path(tempfile.mkdtemp(prefix="cgbench-"))
    # Guests of the `container` driver are nobody on this host, and must get to their root.
    path.chmod(0o711)
    try:
        yield path
    finally:
        unmount_below(path)
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def server(place: Path, runtime: Runtime) -> Iterator[RunningServer]:
    """A server of our own that uses this runtime; all its containers end with it."""
    running = RunningServer(place, environment=runtime.environment | _ROOM)
    try:
        with running:
            yield running
    finally:
        running.stop()


def first_working(
    runtimes: Iterable[Runtime], start: Callable[[Runtime], Started], notes: list[str]
) -> tuple[Runtime, Started] | None:
    """Return the first runtime with which a server starts, and what `start` gave; write down those that fail."""
    for runtime in runtimes:
        try:
            return runtime, start(runtime)
        except AssertionError:
            notes.append(f"{runtime.label} does not work here; `cognitora doctor` says why")
    return None


@contextmanager
def one_server(isolation: str, notes: list[str]) -> Iterator[tuple[Runtime, RunningServer]]:
    """A server with the first runtime that works for this isolation."""
    runtimes = runscs() if isolation == "gvisor" else container_runtimes()
    with scratch() as place, ExitStack() as stack:
        found = first_working(runtimes, lambda one: stack.enter_context(server(place / one.program.name, one)), notes)
        if found is None:
            sys.exit("\n".join((f"{isolation} does not work here", *notes)))
        yield found


def client(running: RunningServer) -> ApiClient:
    """Return a client of a server."""
    return ApiClient(running.base_url, running.api_key)


def request(**fields: object) -> dict[str, object]:
    """Return the fields of a small persistent container, with others in their place as given."""
    body: dict[str, object] = {
        "image": IMAGE,
        "cpuCores": 1,
        "memoryMb": 512,
        "maxCostCredits": 100,
        "persistent": True,
    }
    return body | fields


def sandbox_folder(running: RunningServer, isolation: str, container_id: str) -> SandboxFolder:
    """Return the folder of a container's sandbox on this host."""
    return SandboxFolder(running.data_dir / "sandboxes" / isolation / container_id)


def agent_socket(folder: SandboxFolder) -> tuple[Path, str]:
    """Return where the guest agent's socket of a running sandbox is: folder and name."""
    made_inside = (folder.sockets / SOCKET_NAME).exists()
    return (folder.sockets if made_inside else folder.path), SOCKET_NAME
