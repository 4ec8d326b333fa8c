"""Schemathesis over every operation of a real server: valid and invalid data of every kind, and requests in a row.

The same requests are made each time. `ROBUSTNESS_SECONDS=3600 pytest tests/robustness/test_api.py` makes other ones,
for so long.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import RunningServer

#: For a long run of random requests, in place of the few that are always the same.
SECONDS = int(os.environ.get("ROBUSTNESS_SECONDS", "0"))
ROOT = Path(__file__).parents[2]


@pytest.fixture
def container_id(own_server: RunningServer) -> str:
    """A container that requests can meet."""
    with own_server.client() as api:
        created = api.create(memoryMb=256)
        api.exec(created["id"], "true")
    return str(created["id"])


@pytest.mark.timeout(300 + SECONDS)
@pytest.mark.parametrize(
    ("phases", "mode"), [("examples,coverage,fuzzing", "all"), ("stateful", "positive")], ids=["single", "in a row"]
)
def test_no_request_breaks_a_promise(
    own_server: RunningServer, container_id: str, phases: str, mode: str, tmp_path: Path
) -> None:
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{own_server.base_url}/openapi.json"]
    command += ["--header", f"Authorization: Bearer {own_server.api_key}", "--phases", phases, "--mode", mode]
    command += ["--continue-on-failure", "--no-color", "--suppress-health-check", "all", "--request-timeout", "60"]
    # A container that has ended can still be read.
    command += ["--exclude-checks", "use_after_free"]
    if SECONDS:
        command += ["--max-time", str(SECONDS), "--generation-database", "none"]
    else:
        command += ["--generation-deterministic", "--max-examples", "25"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.robustness.hooks", "PYTHONPATH": str(ROOT)}
    environment["ROBUSTNESS_CONTAINER"] = container_id
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not [line for line in own_server.log.read_text().splitlines() if " ERROR " in line]
