"""Examples for the OpenAPI document: what is asked, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONTAINER_ID = "cnt_0123456789abcdefghjk"
EXECUTION_ID = "exec_0123456789abcdefghjk"
REQUEST_ID = "req_0123456789abcdefghjk"

IMAGE = "docker.io/library/python:3.11-slim"

CREATE: Mapping[str, Any] = {
    "one command": {
        "image": IMAGE,
        "command": ["python", "-c", "print('Hello World')"],
        "cpuCores": 1.0,
        "memoryMb": 512,
        "storageGb": 5,
        "maxCostCredits": 100,
        "timeoutSeconds": 300,
        "environment": {"LOG_LEVEL": "INFO", "API_TOKEN": {"value": "a secret", "secret": True}},
    },
    "a persistent container": {
        "image": IMAGE,
        "persistent": True,
        "cpuCores": 2,
        "memoryMb": 4096,
        "storageGb": 20,
        "maxCostCredits": 200,
        "timeoutSeconds": 28800,
        "idleTimeoutSeconds": 3600,
        "name": "my agent",
        "metadata": {"project": "alpha"},
    },
}

CONTAINER: Mapping[str, Any] = {
    "id": CONTAINER_ID,
    "status": "RUNNING",
    "image": IMAGE,
    "imageNotice": None,
    "command": None,
    "containerType": "COMPUTE",
    "persistent": True,
    "resources": {"cpuCores": 2, "memoryMb": 4096, "storageGb": 20, "gpuCount": 0},
    "environment": {"LOG_LEVEL": "INFO", "API_TOKEN": "***"},
    "networking": False,
    "portMapping": None,
    "maxCostCredits": 200,
    "actualCostCredits": 0.018944,
    "budgetWarnedAt": None,
    "budgetWarning": None,
    "timeoutSeconds": 28800,
    "expiresAt": "2026-01-31T20:00:00.250Z",
    "idleTimeoutSeconds": 3600,
    "createdAt": "2026-01-31T12:00:00.000Z",
    "updatedAt": "2026-01-31T12:00:00.250Z",
    "startedAt": "2026-01-31T12:00:00.250Z",
    "completedAt": None,
    "lastActivityAt": "2026-01-31T12:00:09.125Z",
    "runtimeSeconds": 10.82,
    "meteredSeconds": 11,
    "isolation": "gvisor",
    "progress": None,
    "queuePosition": None,
    "exitCode": None,
    "reason": None,
    "errorMessage": None,
    "usage": {"cpuSeconds": 0.41, "memoryPeakBytes": 34406400, "diskBytes": 1048576},
    "name": "my agent",
    "metadata": {"project": "alpha"},
}

CONTAINER_LIST: Mapping[str, Any] = {
    "executions": [CONTAINER],
    "data": [CONTAINER],
    "total": 1,
    "limit": 50,
    "offset": 0,
}

UPDATE: Mapping[str, Any] = {
    "seconds from now": {"timeoutSeconds": 43200},
    "idle time": {"idleTimeoutSeconds": 3600},
}

UPDATED: Mapping[str, Any] = {
    "id": CONTAINER_ID,
    "status": "RUNNING",
    "expiresAt": "2026-02-01T00:00:00.000Z",
    "timeoutSeconds": 43200,
    "idleTimeoutSeconds": 3600,
    "updatedAt": "2026-01-31T12:00:00.000Z",
}

CANCELLED: Mapping[str, Any] = {
    "id": CONTAINER_ID,
    "status": "CANCELLED",
    "message": "The container is cancelled.",
}

LOGS: Mapping[str, Any] = {"logs": "Hello World\n"}

EXEC: Mapping[str, Any] = {
    "a command with a file": {
        "command": ["python3", "script.py"],
        "files": [{"name": "script.py", "content": "print('Hello!')", "encoding": "string"}],
        "timeoutSeconds": 60,
        "workingDirectory": "/workspace",
        "environment": {"PYTHONPATH": "/workspace"},
    },
    "a shell line": {"command": ["sh", "-c", "ls | wc -l"]},
}

EXECUTED: Mapping[str, Any] = {
    "containerId": CONTAINER_ID,
    "executionId": EXECUTION_ID,
    "status": "completed",
    "command": ["python3", "script.py"],
    "output": "Hello!\n",
    "stdout": "Hello!\n",
    "stderr": "",
    "exitCode": 0,
    "errorMessage": None,
    "executedAt": "2026-01-31T12:00:01.000Z",
    "durationMs": 52,
    "filesUploaded": 1,
    "truncated": False,
    "omittedBytes": 0,
}

EXECUTION: Mapping[str, Any] = {
    "id": EXECUTION_ID,
    "container_id": CONTAINER_ID,
    "main": False,
    "status": "completed",
    "image": IMAGE,
    "command": ["python3", "script.py"],
    "language": None,
    "working_directory": "/workspace",
    "timeout_seconds": 60.0,
    "exit_code": 0,
    "error_message": None,
    "output": "Hello!\n",
    "stdout": "Hello!\n",
    "stderr": "",
    "truncated": False,
    "omitted_bytes": 0,
    "files_uploaded": 1,
    "networking": False,
    "runtime_seconds": 0.052,
    "created_at": "2026-01-31T12:00:01.000Z",
    "started_at": "2026-01-31T12:00:01.000Z",
    "completed_at": "2026-01-31T12:00:01.052Z",
}

EXECUTION_LIST: Mapping[str, Any] = {"executions": [EXECUTION], "total": 1, "limit": 50, "offset": 0}

ESTIMATE_BODY: Mapping[str, Any] = {
    "two hours": {"cpuCores": 8, "memoryMb": 32768, "storageGb": 100, "gpuCount": 0, "timeoutSeconds": 7200}
}

ESTIMATE: Mapping[str, Any] = {
    "estimated_credits": 66.0,
    "estimatedCredits": 66.0,
    "breakdown": {"cpu": 32.0, "memory": 32.0, "storage": 2.0, "gpu": 0.0},
    "timeout_seconds": 7200,
}

FILE_WRITTEN: Mapping[str, Any] = {"path": "/workspace/data.csv", "size": 1048576}

AUDIT_ENTRY: Mapping[str, Any] = {
    "id": "aud_0123456789abcdefghjk",
    "time": "2026-01-31T12:00:01.000Z",
    "action": "container.exec",
    "status": 200,
    "actor": "key",
    "keyId": "key_0123456789abcdefghjk",
    "keyName": "laptop",
    "requestId": REQUEST_ID,
    "remoteAddress": "192.0.2.1",
    "containerId": CONTAINER_ID,
    "executionId": EXECUTION_ID,
    "details": {"program": "python3"},
}

AUDIT_LIST: Mapping[str, Any] = {"entries": [AUDIT_ENTRY], "total": 1, "limit": 50, "offset": 0}

USAGE: Mapping[str, Any] = {
    "from": "2026-01-01",
    "to": "2026-01-31",
    "groupBy": "day",
    "items": [
        {"day": "2026-01-31", "containerId": None, "image": None, "containers": 2, "seconds": 7200, "credits": 12.4}
    ],
    "seconds": 7200,
    "credits": 12.4,
    "total": 1,
    "limit": 50,
    "offset": 0,
    "account": {
        "name": "default",
        "month": "2026-01",
        "budgetCredits": 100,
        "spentCredits": 12.4,
        "remainingCredits": 87.6,
        "renewsOn": "2026-02-01",
        "maxContainers": 10,
        "maxCpuCores": None,
        "maxMemoryMb": 32768,
        "heldContainers": 1,
        "heldCpuCores": 2,
        "heldMemoryMb": 4096,
    },
}

ABOUT: Mapping[str, Any] = {
    "name": "Cognitora",
    "version": "0.1.0",
    "api": "/api/v1",
    "docs": "/docs",
    "openapi": "/openapi.json",
    "health": "/health",
    "ready": "/ready",
}
HEALTH: Mapping[str, Any] = {"status": "ok"}
READY: Mapping[str, Any] = {"status": "ready", "problems": []}


def mirrored(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields at the top level and once more under `data`."""
    return {**fields, "data": fields}
