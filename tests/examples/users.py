"""Who reads the documentation and runs its examples: only the host, the key and invented ids are filled in."""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import os
import re
import subprocess
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest import mock

import httpx

from tests.examples.documentation import Example

HOST = "https://api.cognitora.dev"
KEYS = ("YOUR_API_KEY", "your_api_key", "<api-key>")
CONTAINERS = ("{CONTAINER_ID}", "{container_id}", "{container-id}", "cnt_abc123def456", "container_123456")
EXECUTIONS = ("{execution_id}", "exec_123456", "exec_xyz789abc123")


@dataclass(frozen=True)
class User:
    """A user of one server."""

    base_url: str
    key: str

    def shell(self, script: str, container: str = "") -> dict[str, Any]:
        """Run a curl example with bash; return what it printed."""
        environment = {**os.environ, "API_URL": self.base_url}
        text = self._filled_in(script, container)
        done = subprocess.run(["bash", "-c", text], env=environment, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        answer = dict(json.loads(done.stdout))
        assert "error" not in answer, answer
        return answer

    def request(self, example: Example, container: str = "", execution: str = "") -> httpx.Response:
        """Send a request that the documentation prints as it goes over the wire."""
        head, *body = example.parts
        first, *headers = self._filled_in(head, container, execution).split("\n")
        method, path = first.split(" ")
        with httpx.Client(base_url=self.base_url, timeout=100) as client:
            content = "\n\n".join(body)
            return client.request(method, path, headers=dict(line.split(": ", 1) for line in headers), content=content)

    def python(self, example: Example, container: str = "", execution: str = "", **names: Any) -> Ran:
        """Run a Python example; `names` are those it presumes."""
        text = self._filled_in(example.text, container, execution)
        code = compile(text, example.title, "exec", PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        printed = io.StringIO()
        with redirect_stdout(printed), mock.patch.dict(os.environ, self.environment):
            if inspect.iscoroutine(awaited := eval(code, names)):
                asyncio.run(awaited)
        return Ran(names, printed.getvalue().splitlines())

    @property
    def environment(self) -> dict[str, str]:
        """What tells our clients where the server is."""
        return {"COGNITORA_BASE_URL": self.base_url, "COGNITORA_API_KEY": self.key}

    def _filled_in(self, text: str, container: str, execution: str = "") -> str:
        known = {HOST: self.base_url, **dict.fromkeys(KEYS, self.key)}
        known |= dict.fromkeys(CONTAINERS, container) | dict.fromkeys(EXECUTIONS, execution)

        def of(found: re.Match[str]) -> str:
            assert known[found[0]], f"the example names {found[0]}, for which nothing was prepared"
            return known[found[0]]

        return re.sub("|".join(map(re.escape, known)), of, text)


@dataclass(frozen=True)
class Ran:
    """What a Python example left: its variables, and the lines it printed."""

    names: dict[str, Any]
    lines: list[str]
