"""Real servers for tests: `cognitora serve` as a process of its own, that can be killed and started again."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx

COGNITORA = Path(sys.executable).with_name("cognitora")
PYTHON_IMAGE = "docker.io/library/python:3.11-slim"

#: Images of the tests' own, so that nothing is tagged in the storage that the machine's owner uses.
STORAGE = {"COGNITORA_STORAGE_ROOT": str(Path(__file__).parents[1] / ".cache" / "test-storage")}

#: Tests poll as no agent would.
NO_RATE_LIMITS = {"COGNITORA_RATE_LIMIT_PER_MINUTE": "0", "COGNITORA_RATE_LIMIT_BURST": "0"}

_START_SECONDS = 60.0


class RunningServer:
    """One server on a data directory of its own, on a free port of the loopback interface."""

    def __init__(self, data_dir: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.base_url = ""
        self.api_key = ""
        self.log = data_dir / "server.log"
        self._arguments = arguments
        self._environment = {**os.environ, **STORAGE, **NO_RATE_LIMITS, **(environment or {})}
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        self.api_key = self.api_key or self.new_key("tests")
        return self

    def __exit__(self, *_: object) -> None:
        self.end_all_containers()
        self.stop()

    def start(self) -> None:
        """Start, and return once it is ready."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        written = self.log.stat().st_size if self.log.exists() else 0
        command: list[str | Path] = [COGNITORA, "serve", "--data-dir", self.data_dir]
        command += ["--listen", "127.0.0.1:0", *self._arguments]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            text = self.log.read_bytes()[written:].decode()
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended: {text}")
            if found := re.search(r"listening on (http://[^\s\"]+)", text):
                self.base_url = found[1]
                assert httpx.get(f"{self.base_url}/ready", timeout=30).status_code == 200, text
                return
            time.sleep(0.02)
        raise AssertionError(f"the server did not start: {self.log.read_text()}")

    def stop(self) -> None:
        """Stop it as an operator would. Containers go on."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it without warning, as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(30)

    def new_key(self, name: str, account: str = "default") -> str:
        """Make a key with the command line, beside the running server."""
        command: list[str | Path] = [COGNITORA, "keys", "create", name]
        command += ["--data-dir", self.data_dir, "--account", account]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
        return result.stdout.strip()

    def client(self, key: str | None = None) -> Api:
        """Return a client of the API."""
        return Api(self.base_url, key or self.api_key)

    def memory_bytes(self) -> int:
        """Return the server's resident memory."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def end_all_containers(self) -> None:
        """Cancel whatever still runs."""
        if self.process is None or self.process.poll() is not None:
            return
        with self.client() as api:
            for status in ("QUEUED", "STARTING", "RUNNING", "IDLE"):
                for container in api.get("/containers", params={"status": status, "limit": 100}).json()["data"]:
                    api.delete(f"/containers/{container['id']}")

    def traces(self) -> list[str]:
        """Return everything of this server's containers that is on the host: folders, mounts, groups, processes."""
        found = [str(path) for path in (self.data_dir / "sandboxes").glob("**/cnt_*")]
        found += [folder for folder, _, _ in os.walk("/sys/fs/cgroup")]
        found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "cnt_" in line]
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                found.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        mine = self.container_ids()
        return [trace for trace in found if not mine.isdisjoint(re.findall(r"cnt_[a-z0-9]{20}", trace))]

    def container_ids(self) -> set[str]:
        """Return the ids of all containers that were accepted, read beside the server."""
        with contextlib.closing(sqlite3.connect(self.data_dir / "cognitora.db")) as database:
            return {row[0] for row in database.execute("SELECT id FROM containers")}

    def wait_until_clean(self, seconds: float = 30) -> None:
        """Wait until nothing of any container is on the host."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.traces():
            time.sleep(0.1)
        left = self.traces()
        assert not left, left


class Api(httpx.Client):
    """The containers' part of the API."""

    def __init__(self, base_url: str, key: str) -> None:
        super().__init__(base_url=f"{base_url}/api/v1/compute", headers={"Authorization": f"Bearer {key}"}, timeout=120)

    def create(self, **fields: Any) -> dict[str, Any]:
        """Create a container (persistent, small, of the Python image, unless told otherwise)."""
        body = {
            "image": PYTHON_IMAGE,
            "cpuCores": 1,
            "memoryMb": 512,
            "storageGb": 1,
            "maxCostCredits": 10,
            "persistent": True,
        }
        response = self.post("/containers", json=body | fields)
        assert response.status_code == 201, response.text
        return dict(response.json())

    def exec(self, container_id: str, *command: str, **fields: Any) -> dict[str, Any]:
        """Run a command; return the answer."""
        response = self.post(f"/containers/{container_id}/exec", json={"command": command, **fields})
        assert response.status_code == 200, response.text
        return dict(response.json())

    def container(self, container_id: str) -> dict[str, Any]:
        """Return a container."""
        response = self.get(f"/containers/{container_id}")
        assert response.status_code == 200, response.text
        return dict(response.json())

    def ended(self, container_id: str, seconds: float = 60) -> dict[str, Any]:
        """Wait until a container has ended; return it."""
        return self.until(container_id, "COMPLETED", "FAILED", "CANCELLED", "TERMINATED", "TIMEOUT", seconds=seconds)

    def until(self, container_id: str, *states: str, seconds: float = 60) -> dict[str, Any]:
        """Wait until a container is in one of these states; return it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            container = self.container(container_id)
            if container["status"] in states:
                return container
            time.sleep(0.05)
        raise AssertionError(f"not {states}: {json.dumps(container, indent=1)}")
