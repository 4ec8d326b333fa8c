"""The bodies of the product's documentation, as a shell hands them to curl."""

from __future__ import annotations

import httpx
import pytest

from .fakes import Fakes

CREATES = [
    """{
    "image": "docker.io/library/ubuntu:22.04",
    "persistent": true,
    "timeout_seconds": 28800,  // 8 hours
    "cpuCores": 2,
    "memoryMb": 4096,
    "storageGb": 20,
    "maxCostCredits": 100,
    "environment": {
      "WORKSPACE": "/workspace"
    }
  }""",
    """{
  "image": "docker.io/library/python:3.11-slim",
  "command": ["python", "-c", "print('Hello World')"],
  "cpuCores": 1.0,
  "memoryMb": 512,
  "storageGb": 5,

  "maxCostCredits": 100,
  "timeoutSeconds": 300,
  "environment": {
    "LOG_LEVEL": "INFO"
  }
}""",
    """{
    "image": "docker.io/library/nginx:alpine",
    "command": ["nginx", "-g", "daemon off;"],
    "persistent": true,
    "networking": true,
    "portMapping": {
      "containerPort": 80,
      "protocol": "tcp"
    },
    "cpuCores": 1,
    "memoryMb": 512,
    "storageGb": 5,
    "maxCostCredits": 100,
    "timeout_seconds": 3600  // 1 hour
  }""",
    # A program with its line breaks in a string; the shell took the single quotes.
    r"""{
    "image": "docker.io/library/python:3.11-slim",
    "command": [
      "bash", "-c",
      "pip install flask && python -c \"
from flask import Flask, jsonify, request

# In-memory data store
data_store = {}

@app.route(/api/health)
def health():
    return jsonify({
        \"status\": \"healthy\"
    })
\""
    ],
    "persistent": true,
    "networking": true,
    "portMapping": {
      "containerPort": 5000,
      "protocol": "tcp"
    },
    "cpuCores": 1,
    "memoryMb": 1024,
    "storageGb": 5,
    "maxCostCredits": 200,
    "timeout_seconds": 7200  // 2 hours
  }""",
]


@pytest.mark.parametrize("body", CREATES)
async def test_creates(client: httpx.AsyncClient, fakes: Fakes, body: str) -> None:
    answer = await client.post("containers", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["data"]["id"] == answer.json()["id"]
    command = fakes.containers.requests[0].command
    if command and command[0] == "bash":
        assert 'return jsonify({\n        "status": "healthy"\n    })\n"' in command[2]


async def test_exec_and_update(client: httpx.AsyncClient, fakes: Fakes) -> None:
    container = fakes.add_container()
    body = r"""{
  "command": ["python3", "script.py"],
  "files": [
    {
      "name": "script.py",
      "content": "import json\nprint('Hello from persistent container!')",
      "encoding": "string"
    }
  ],
  "timeout_seconds": 60,
  "working_directory": "/workspace",
  "environment": {
    "PYTHONPATH": "/workspace"
  }
}"""
    answer = await client.post(f"containers/{container.id}/exec", content=body)
    assert answer.status_code == 200, answer.text
    update = '{\n      "timeout_seconds": 43200  // 12 hours\n}'
    assert (await client.patch(f"containers/{container.id}", content=update)).status_code == 200


async def test_lists(client: httpx.AsyncClient) -> None:
    for query in (
        "containers?limit=20&status=RUNNING&containerType=COMPUTE",
        "containers/executions?limit=50&status=running",
        "containers/executions?limit=50&language=python",
    ):
        assert (await client.get(query)).status_code == 200
