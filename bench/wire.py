"""HTTP on one connection that stays open: cheap enough not to be measured itself."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

from cognitora_server.host.sockets import connect_path, open_socket

_TIMEOUT_SECONDS = 120
_POLL_SECONDS = 0.0005
_OK = 300

Json = dict[str, Any]
Result = TypeVar("Result")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("guest", timeout=_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Client:
    def __init__(self, connection: http.client.HTTPConnection, headers: dict[str, str]) -> None:
        self._connection = connection
        self._headers = headers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send a request; return the answer's body. An answer that is no success raises RuntimeError."""
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= _OK:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:500]!r}")
        return content


class ApiClient(_Client):
    """The containers' part of the API."""

    def __init__(self, base_url: str, key: str) -> None:
        address = urlsplit(base_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_TIMEOUT_SECONDS)
        super().__init__(connection, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})

    def reconnect(self) -> None:
        """Make sure of an open connection: servers close those on which nothing came for a while."""
        self._connection.close()
        self.call("GET", "/health")

    def create(self, **fields: Any) -> str:
        """Create a container; return its id."""
        return str(self._ask("POST", "/containers", fields)["id"])

    def exec(self, container_id: str, *command: str) -> Json:
        """Run a command in a container to its end."""
        return self._ask("POST", f"/containers/{container_id}/exec", {"command": command})

    def exec_raw(self, container_id: str, body: bytes) -> Json:
        """Run what `body`, JSON already, asks for."""
        return dict(json.loads(self.call("POST", f"/api/v1/compute/containers/{container_id}/exec", body)))

    def write_file(self, container_id: str, path: str, content: bytes) -> None:
        """Write a file in a container."""
        self.call("PUT", f"/api/v1/compute/containers/{container_id}/files?path={quote(path)}", content)

    def container(self, container_id: str) -> Json:
        """Return a container."""
        return self._ask("GET", f"/containers/{container_id}")

    def delete(self, container_id: str) -> None:
        """End a container; return when it has ended."""
        self._ask("DELETE", f"/containers/{container_id}")

    def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        content = None if body is None else json.dumps(body).encode()
        return dict(json.loads(self.call(method, f"/api/v1/compute{path}", content)))


class AgentClient(_Client):
    """A guest agent, asked directly."""

    def __init__(self, folder: Path, *names: str) -> None:
        """Connect to the socket `folder`/names…, as soon as somebody listens there."""
        # By descriptor: a socket's path may have 107 bytes at most.
        self._socket = _soon(lambda: open_socket(folder, *names))
        connection = _UnixConnection(connect_path(self._socket))
        _soon(connection.connect)
        super().__init__(connection, {"Content-Type": "application/json"})

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        super().__exit__(kind, value, at)
        os.close(self._socket)

    def exec(self, *command: str) -> tuple[str, bytes]:
        """Run a command to its end; return its id, and the frames of its output."""
        identity = secrets.token_hex(8)
        body = json.dumps({"id": identity, "argv": command}).encode()
        return identity, self.call("POST", "/v1/processes?follow=true", body)

    def forget(self, identity: str) -> None:
        """Free what is kept of a process."""
        self.call("DELETE", f"/v1/processes/{identity}")


def _soon(attempt: Callable[[], Result]) -> Result:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        try:
            return attempt()
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > deadline:
                raise
        time.sleep(_POLL_SECONDS)
