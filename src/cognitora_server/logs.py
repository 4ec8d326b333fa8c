"""How the server logs: every line, ours and the libraries', as text for people or as JSON for programs.

Nothing that comes from outside can begin a line of its own, and no API key gets into one.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from .domain.accounts import KEY_PREFIX

_KEY = re.compile(rf"{KEY_PREFIX}[A-Za-z0-9_-]{{8,}}")


def configure(level: str, form: str) -> None:
    """Send all logging of this process to standard error, as `text` or `json`."""
    render: Processor = _json if form == "json" else _text
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.ExtraAdder(),
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_colours,
                structlog.processors.format_exc_info,
                structlog.processors.EventRenamer("message"),
                render,
            ],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _without_colours(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # uvicorn's second copy of its message
    return event


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    named = {name: event.pop(name) for name in ("time", "level", "logger", "message")}
    return _without_keys(json.dumps(named | dict(event), default=str, separators=(",", ":")))


def _text(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    trace = str(event.pop("exception", ""))
    head = f"{event.pop('time')} {event.pop('level').upper()} {event.pop('logger')}: {_one_line(event.pop('message'))}"
    line = " ".join([head, *(f"{name}={_value(value)}" for name, value in event.items() if value is not None)])
    # Each line of a trace is marked, because an error's message may hold anything.
    return _without_keys("\n  | ".join([line, *map(_one_line, trace.splitlines())]))


def _value(value: Any) -> str:
    text = _one_line(value)
    return json.dumps(text) if " " in text or '"' in text or not text else text


def _one_line(value: Any) -> str:
    text = str(value)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _without_keys(line: str) -> str:
    return _KEY.sub(f"{KEY_PREFIX}…", line) if KEY_PREFIX in line else line
