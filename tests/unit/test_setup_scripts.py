"""The scripts of the set-up: how a step fails, and how ./quickstart treats what it finds.

`cognitora` and `scripts/setup` are replaced by stand-ins; all else is the real scripts, in a folder of their own.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="without root the scripts would ask for a password")

COGNITORA = '''\
#!{python}
"""Stands in for the server: the same commands, one key, and containers that have already ended."""
import json, pathlib, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

command, options = sys.argv[1], dict(zip(sys.argv[2::2], sys.argv[3::2]))
with pathlib.Path(__file__).with_name("calls").open("a") as calls:
    print(*sys.argv[1:], file=calls)
if command == "keys":
    print("cgk_first")
elif command == "serve":
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            allowed = self.path == "/ready" or self.headers["Authorization"] == "Bearer cgk_first"
            self.send_response(200 if allowed else 401)
            self.end_headers()
            self.wfile.write(json.dumps({{"logs": "hello from nowhere", "error": "no key"}}).encode())

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201)
            self.end_headers()
            self.wfile.write(json.dumps({{"id": "cnt_1", "status": "COMPLETED", "isolation": "none"}}).encode())

    host, port = options["--listen"].split(":")
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
'''


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_running(pid: int) -> bool:
    """Tell whether the process is there and more than a zombie that nobody has collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Checkout:
    """A folder with the real scripts in it, and what the last server of ./quickstart left."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "the data"
        self.port = free_port()
        (root / "scripts").mkdir(parents=True)
        (root / ".venv/bin").mkdir(parents=True)
        for name in ("quickstart", "scripts/lib.sh", "scripts/first_container.py"):
            shutil.copy(ROOT / name, root / name)
        executable(root / "scripts/setup", "#!/bin/sh\n")
        # Not a link: Python looks for its environment beside the name that it was started by.
        executable(root / ".venv/bin/python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        executable(root / ".venv/bin/cognitora", COGNITORA.format(python=sys.executable))

    def quickstart(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        chosen = arguments or ("--data-dir", str(self.data), "--listen", f"127.0.0.1:{self.port}")
        return subprocess.run(
            [self.root / "quickstart", *chosen],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
        )

    @property
    def pid(self) -> int:
        return int((self.data / "quickstart.pid").read_text())

    def calls(self, command: str) -> int:
        lines = (self.root / ".venv/bin/calls").read_text().splitlines()
        return sum(line.startswith(command) for line in lines)


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    checkout = Checkout(tmp_path / "a check out")
    yield checkout
    if (checkout.data / "quickstart.pid").exists() and is_running(checkout.pid):
        os.kill(checkout.pid, 9)


def test_quickstart_starts_a_server_and_then_reuses_it(checkout: Checkout) -> None:
    first = checkout.quickstart()
    assert first.returncode == 0, first.stdout
    assert "hello from nowhere (none, cnt_1)" in first.stdout
    assert str(checkout.pid) not in first.stdout
    assert (checkout.data / "quickstart.key").read_text() == "cgk_first\n"
    assert (checkout.data / "quickstart.key").stat().st_mode & 0o777 == 0o600
    assert checkout.data.stat().st_mode & 0o777 == 0o700

    pid = checkout.pid
    second = checkout.quickstart()
    assert second.returncode == 0, second.stdout
    assert f"The server runs already (process {pid})" in second.stdout
    assert checkout.pid == pid
    assert checkout.calls("keys create") == 1
    assert checkout.calls("serve") == 1


def test_quickstart_replaces_a_server_of_another_version_and_a_key_that_is_refused(checkout: Checkout) -> None:
    assert checkout.quickstart().returncode == 0
    pid = checkout.pid
    (checkout.data / "quickstart.version").write_text("older\n")
    (checkout.data / "quickstart.key").write_text("cgk_revoked\n")
    again = checkout.quickstart()
    assert again.returncode == 0, again.stdout
    assert checkout.pid != pid
    assert not is_running(pid)
    assert (checkout.data / "quickstart.key").read_text() == "cgk_first\n"


def test_quickstart_leaves_a_stranger_on_its_port_alone(checkout: Checkout) -> None:
    with socket.create_server(("127.0.0.1", checkout.port)):
        refused = checkout.quickstart()
    assert refused.returncode == 1
    assert f"Something else listens on 127.0.0.1:{checkout.port}" in refused.stdout
    assert not (checkout.data / "quickstart.pid").exists()


def test_a_server_that_does_not_start_is_explained_by_its_log(checkout: Checkout) -> None:
    executable(
        checkout.root / ".venv/bin/cognitora", '#!/bin/sh\ncase $1 in serve) echo "no database"; exit 1;; esac\n'
    )
    failed = checkout.quickstart()
    assert failed.returncode == 1
    assert "no database" in failed.stdout
    assert "cognitora doctor" in failed.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--listen", "nowhere"], "HOST:PORT"),
        (["--listen"], "--listen needs a value"),
        (["--colour"], "unknown argument: --colour"),
    ],
)
def test_quickstart_refuses_wrong_arguments(checkout: Checkout, arguments: list[str], said: str) -> None:
    refused = checkout.quickstart(*arguments)
    assert refused.returncode == 1
    assert said in refused.stdout


def run_step(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run `script` in a bash that has sourced the library."""
    text = f'set -euo pipefail\n. "{ROOT}/scripts/lib.sh"\n{dedent(script)}'
    return subprocess.run(["bash", "-c", text], cwd=folder, capture_output=True, text=True, timeout=30)


def test_a_step_stops_at_its_first_failing_line_and_shows_the_end_of_its_output(tmp_path: Path) -> None:
    done = run_step(
        tmp_path,
        """
        quiet() { echo unseen; }
        work() { seq 100; false; echo passed over; }
        step "Quiet" quiet
        step "Work" work
        echo the next
        """,
    )
    assert done.returncode == 1
    assert "unseen" not in done.stdout
    assert "100" in done.stdout.split()
    assert "50" not in done.stdout.split()
    assert "passed over" not in done.stdout
    assert "the next" not in done.stdout
    assert f"{tmp_path}/.cache/setup.log" in done.stdout


def test_an_attempt_goes_on_after_a_failure(tmp_path: Path) -> None:
    done = run_step(tmp_path, 'work() { false; true; }\nattempt "Work" work\necho "status $status"')
    assert done.returncode == 0
    assert "not to be had here" in done.stdout
    assert "status 1" in done.stdout
