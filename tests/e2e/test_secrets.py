"""A secret reaches processes and comes back nowhere: no answer, no log, and no file once the container has ended."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
from pathlib import Path

import httpx
from tests.servers import PYTHON_IMAGE, Api, RunningServer

_MARKER = "marker-of-a-secret-7f3d91"
_SHOW = "import os, hashlib; print(hashlib.sha256(os.environ['TOKEN'].encode()).hexdigest()[:8])"


def test_a_secret_comes_back_nowhere(tmp_path: Path, images: Path) -> None:
    secret = {"value": _MARKER, "secret": True}
    answers: list[str] = []
    with RunningServer(tmp_path / "data", "--log-level", "debug") as server:
        with server.client() as api:
            container = _make(api, secret, answers)
            _use(api, container, secret, answers)
        server.kill()
        server.start()
        with server.client() as api:
            shown = api.exec(container, "python3", "-c", _SHOW)
            assert (shown["exitCode"], len(shown["output"])) == (0, 9)  # it is still there after a restart
            _provoke_errors(api, container, secret, answers)
            database = server.data_dir / "cognitora.db"
            assert stat.S_IMODE(database.stat().st_mode) == 0o600
            assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in _files(server))
            answers.append(api.delete(f"/containers/{container}").text)
            api.ended(container)
            for path in (f"/containers/{container}", "/containers", f"/containers/{container}/logs"):
                answers.append(api.get(path).text)
            answers.append(api.get(f"/containers/{container}/executions").text)
            answers.append(api.get("/containers/executions").text)
        server.stop()
        with contextlib.closing(sqlite3.connect(database)) as connection:
            assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        assert not [file.name for file in _files(server) if _MARKER.encode() in file.read_bytes()]
        assert _MARKER.encode() not in server.log.read_bytes()
    assert not [answer for answer in answers if _MARKER in answer]
    assert any('"TOKEN":"***"' in answer for answer in answers)


def _files(server: RunningServer) -> list[Path]:
    return [file for file in server.data_dir.glob("cognitora.db*") if not file.name.endswith(".lock")]


def _make(api: Api, secret: object, answers: list[str]) -> str:
    body = {
        "image": PYTHON_IMAGE,
        "cpuCores": 1,
        "memoryMb": 512,
        "maxCostCredits": 10,
        "persistent": True,
        "environment": {"TOKEN": secret, "PLAIN": "1"},
    }
    for _ in range(2):  # the second is answered from what is kept for the key
        answer = api.post("/containers", json=body, headers={"Idempotency-Key": "one"})
        assert answer.status_code == 201
        answers.append(answer.text)
    again = api.post("/containers", json=body | {"cpuCores": 2}, headers={"Idempotency-Key": "one"})
    assert again.status_code == 409
    answers.append(again.text)
    container: str = answer.json()["id"]
    answers.append(str(api.until(container, "RUNNING")))
    return container


def _use(api: Api, container: str, secret: object, answers: list[str]) -> None:
    shown = api.exec(container, "python3", "-c", _SHOW)
    again = api.exec(container, "python3", "-c", _SHOW, environment={"TOKEN": secret})
    assert shown["exitCode"] == 0
    assert shown["output"] == again["output"]
    other = api.exec(container, "python3", "-c", _SHOW, environment={"TOKEN": "another"})
    assert other["output"] != shown["output"]
    answers += [str(shown), str(again), api.patch(f"/containers/{container}", json={"timeoutSeconds": 600}).text]
    answers.append(api.get(f"/containers/executions/{shown['executionId']}").text)
    answers.append(api.get(f"/containers/{shown['executionId']}").text)


def _provoke_errors(api: Api, container: str, secret: object, answers: list[str]) -> None:
    wrong_variables: list[object] = [
        {"TOKEN": {"value": [_MARKER], "secret": True}},
        {"TOKEN": {"value": _MARKER, "secret": _MARKER}},
        {"TOKEN": {"value": _MARKER + "\0", "secret": True}},
        {"TOKEN": {"value": _MARKER * 5000, "secret": True}},
        {"TOKEN": {"value": _MARKER, "secret": True, "more": _MARKER}},
        {"TOKEN": [_MARKER]},
        {"TO=KEN": secret},
        [_MARKER],
        _MARKER,
    ]
    for environment in wrong_variables:
        for path, body in (
            ("/containers", {"image": PYTHON_IMAGE, "cpuCores": 1, "memoryMb": 512, "maxCostCredits": 1}),
            (f"/containers/{container}/exec", {"command": ["true"]}),
        ):
            answer = api.post(path, json=body | {"environment": environment})
            assert answer.status_code == 422, answer.text
            answers.append(answer.text)
    broken = httpx.Headers({"Content-Type": "application/json"})
    for text in (f'{{"environment": {{"TOKEN": {{"value": "{_MARKER}", }}', f'{{"environment": "{_MARKER}'):
        answers.append(api.post("/containers", content=text, headers=broken).text)
    failing = {"command": ["no-such-program"], "environment": {"TOKEN": secret}}
    answers.append(api.post(f"/containers/{container}/exec", json=failing).text)
    nobody = {"command": ["true"], "environment": {"TOKEN": secret}}
    answers.append(api.post("/containers/cnt_00000000000000000000/exec", json=nobody).text)
    answers.append(api.post(f"/containers/{container}/exec", json=nobody | {"workingDirectory": "/proc/self/x"}).text)
