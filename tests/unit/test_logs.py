"""Log lines: one each, whatever is in them, and never with a key."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from cognitora_server import logs
from cognitora_server.domain.accounts import new_secret

HOSTILE = 'a\nb\r\x1b[31m\u2028 "c" \ud800'


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.contextvars.clear_contextvars()


def test_json_lines_hold_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    structlog.contextvars.bind_contextvars(request_id="req_1")
    logging.getLogger("here").info("it is %s", HOSTILE, extra={"container_id": "cnt_1"})
    logging.getLogger("here").debug("not shown")
    (line,) = capsys.readouterr().err.splitlines()
    read = json.loads(line)
    assert read.pop("time").endswith("Z")
    assert read == {
        "level": "info",
        "logger": "here",
        "message": f"it is {HOSTILE}",
        "container_id": "cnt_1",
        "request_id": "req_1",
    }


def test_text_lines_cannot_be_forged(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "text")
    error = ValueError(HOSTILE)
    logging.getLogger("here").error("it is %s", HOSTILE, extra={"path": HOSTILE}, exc_info=error)
    first, *rest = capsys.readouterr().err.splitlines()
    assert r"ERROR here: it is a\nb\r\x1b[31m\u2028" in first
    assert r'path="a\\nb' in first
    assert rest
    assert all(line.startswith("  | ") for line in rest)


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_key_gets_into_a_line(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", form)
    secret = new_secret()
    logging.getLogger("here").error("%s", secret, extra={"given": secret}, exc_info=ValueError(secret))
    logging.getLogger("here").info("given", extra={"given": secret})
    written = capsys.readouterr().err
    assert secret not in written
    assert "cgk_…" in written or "cgk_\\u2026" in written
