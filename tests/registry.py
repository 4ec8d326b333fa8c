"""Real registries for tests: Debian's docker-registry on free ports of the loopback interface."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

#: The password `secret` as bcrypt writes it, which is the only form that a registry takes.
_SECRET = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"


class Registry:
    """A docker-registry of its own, with its access log."""

    def __init__(self, place: Path, user: str | None = None) -> None:
        if not shutil.which("docker-registry"):
            pytest.skip("docker-registry is not installed")
        place.mkdir()
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._log = place / "log"
        config = (
            f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {place}/data}}}}\nhttp: {{addr: {self.address}}}\n"
        )
        if user:
            (place / "passwords").write_text(f"{user}:{_SECRET}\n")
            config += f"auth: {{htpasswd: {{realm: test, path: {place}/passwords}}}}\n"
        self.credentials = f"{user}:secret" if user else None
        (place / "config.yml").write_text(config)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(["docker-registry", "serve", place / "config.yml"], stdout=log, stderr=log)
        wait_for_port(self.port)

    def copy(self, source: str, name: str) -> None:
        """Bring an image in, from where skopeo says (`oci:PATH:TAG`)."""
        credentials = ["--dest-creds", self.credentials] if self.credentials else []
        options = ["--quiet", "--preserve-digests", "--dest-tls-verify=false", *credentials]
        subprocess.run(["skopeo", "copy", *options, source, f"docker://{self.address}/{name}"], check=True)

    def requests(self, pattern: str) -> int:
        """How many answered requests' lines match, such as `GET /v2/…`."""
        return len(re.findall(rf'"{pattern}[^"]*HTTP/1.1" 200', self._log.read_text(errors="replace")))

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the registry does not answer")


def mirror(registry: str, address: str) -> str:
    """Lines of registries.conf: `registry` is asked at `address`, without TLS."""
    return f'[[registry]]\nlocation = "{registry}"\n[[registry.mirror]]\nlocation = "{address}"\ninsecure = true\n'
