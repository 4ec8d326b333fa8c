"""The guide is true: its examples run, one after the other, and so does the README's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.servers import RunningServer

ROOT = Path(__file__).parents[2]


def examples(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def test_there_are_examples() -> None:
    assert len(examples("docs/python-client.md")) == 6


@pytest.mark.parametrize(
    ("page", "printed"),
    [
        ("docs/python-client.md", ["42", "COMPLETED 0", "hi", "The container is cancelled.", "memoryMb must be"]),
        ("README.md", ["hi"]),
        ("src/cognitora/README.md", ["hi"]),
    ],
)
def test_examples_run(
    page: str,
    printed: list[str],
    server: RunningServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COGNITORA_API_KEY", server.api_key)
    monkeypatch.setenv("COGNITORA_BASE_URL", server.base_url)
    names: dict[str, Any] = {}
    for number, example in enumerate(examples(page)):
        exec(compile(example, f"{page}, example {number}", "exec"), names)
    output = capsys.readouterr().out
    for text in printed:
        assert text in output
    if client := names.get("client"):
        client.close()
