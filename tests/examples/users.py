"""Who reads the documentation and runs its examples: only the host, the key and invented ids are filled in."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from types import CodeType
from typing import Any
from unittest import mock

import httpx

from tests.examples.documentation import Example

HOST = "https://api.cognitora.dev"
KEYS = ("YOUR_API_KEY", "your_api_key", "<api-key>")
#: What stands for the id of a container, or of an execution: in the shell and on the wire, and in Python.
IN_TEXT = (("{CONTAINER_ID}", "{container_id}", "{container-id}"), ("{execution_id}",))
IN_PYTHON = (("cnt_abc123def456", "container_123456"), ("exec_123456", "exec_xyz789abc123"))


@dataclass(frozen=True)
class User:
    """A user of one server."""

    base_url: str
    key: str

    def shell(self, script: str, container: str = "") -> dict[str, Any]:
        """Run a curl example with bash; return the answer, which must not be an error."""
        answer = self.answer(script, container)
        assert "error" not in answer, answer
        return answer

    def answer(self, script: str, container: str = "") -> dict[str, Any]:
        """Run a curl example with bash; return what it printed."""
        environment = {**os.environ, "API_URL": self.base_url}
        text = self._filled_in(script, IN_TEXT, container)
        done = subprocess.run(["bash", "-c", text], env=environment, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def request(self, example: Example, container: str = "", execution: str = "") -> httpx.Response:
        """Send a request that the documentation prints as it goes over the wire."""
        head, *body = example.parts
        first, *headers = self._filled_in(head, IN_TEXT, container, execution).split("\n")
        method, path = first.split(" ")
        with httpx.Client(base_url=self.base_url, timeout=100) as client:
            content = "\n\n".join(body)
            return client.request(method, path, headers=dict(line.split(": ", 1) for line in headers), content=content)

    def python(self, example: Example, container: str = "", execution: str = "", **names: Any) -> Ran:
        """Run a Python example; `names` are those it presumes."""
        with self._running(example, container, execution) as (code, printed):
            exec(code, names)
        return Ran(names, printed.getvalue().splitlines())

    async def python_async(self, example: Example, container: str = "", execution: str = "", **names: Any) -> Ran:
        """Run a Python example that awaits."""
        with self._running(example, container, execution) as (code, printed):
            await eval(code, names)
        return Ran(names, printed.getvalue().splitlines())

    @contextmanager
    def _running(self, example: Example, container: str, execution: str) -> Iterator[tuple[CodeType, io.StringIO]]:
        text = self._filled_in(example.text, IN_PYTHON, container, execution)
        code = compile(text, example.title, "exec", PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        printed = io.StringIO()
        with redirect_stdout(printed), mock.patch.dict(os.environ, COGNITORA_BASE_URL=self.base_url):
            yield code, printed

    def _filled_in(self, text: str, ids: tuple[tuple[str, ...], ...], *made: str) -> str:
        known = {HOST: self.base_url, **dict.fromkeys(KEYS, self.key)}
        for invented, real in zip(ids, made, strict=False):
            known |= dict.fromkeys(invented, real)

        def of(found: re.Match[str]) -> str:
            assert known[found[0]], f"the example names {found[0]}, for which nothing was prepared"
            return known[found[0]]

        return re.sub("|".join(map(re.escape, known)), of, text)


@dataclass(frozen=True)
class Ran:
    """What a Python example left: its variables, and the lines it printed."""

    names: dict[str, Any]
    lines: list[str]
