"""Runs one small container through the API, from create to logs, and prints what it printed.

Needs COGNITORA_BASE_URL and COGNITORA_API_KEY. Standard library only: it is also the shortest complete client.
"""

import json
import os
import sys
import time
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

IMAGE = "docker.io/library/python:3.11-slim"
PROGRAM = "import platform; print('hello from Python', platform.python_version(), 'in a sealed container')"
TIMEOUT_SECONDS = 120


def call(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the API's answer; leave with its error sentence if it is one."""
    connection = HTTPConnection(urlsplit(os.environ["COGNITORA_BASE_URL"]).netloc, timeout=TIMEOUT_SECONDS)
    headers = {
        "Authorization": f"Bearer {os.environ['COGNITORA_API_KEY']}",
        "Content-Type": "application/json",
    }
    connection.request(method, f"/api/v1/compute{path}", json.dumps(body) if body else None, headers)
    response = connection.getresponse()
    answer: dict[str, Any] = json.loads(response.read())
    connection.close()
    if response.status >= 400:
        sys.exit(f"{method} {path}: {response.status}: {answer.get('error', answer)}")
    return answer


def main() -> None:
    """Create, wait, show."""
    request = {
        "image": IMAGE,
        "command": ["python3", "-c", PROGRAM],
        "cpuCores": 1,
        "memoryMb": 512,
        "maxCostCredits": 10,
    }
    container = call("POST", "/containers", request)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while container["status"] in {"QUEUED", "STARTING", "RUNNING"} and time.monotonic() < deadline:
        time.sleep(0.1)
        container = call("GET", f"/containers/{container['id']}")
    if container["status"] != "COMPLETED":
        sys.exit(f"The container is {container['status']}: {container.get('errorMessage')}")
    logs = call("GET", f"/containers/{container['id']}/logs")["logs"].strip()
    print(f"{logs} ({container.get('isolation', 'isolation unknown')}, {container['id']})")


if __name__ == "__main__":
    try:
        main()
    except (OSError, HTTPException, ValueError) as error:
        sys.exit(f"The server did not answer as expected: {error!r}")
