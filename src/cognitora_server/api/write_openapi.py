"""Writes the OpenAPI document of the app to a file: `python -m cognitora_server.api.write_openapi FILE`."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..domain.clock import SystemClock
from ..settings import Settings
from .app import create_app
from .ports import Services


def document_text() -> str:
    """Return the document as it is checked in."""
    # A document needs routes, and no one to serve them.
    parts: dict[str, Any] = dict.fromkeys(field.name for field in fields(Services))
    services = Services(**parts | {"settings": Settings.model_construct(), "clock": SystemClock()})
    return json.dumps(create_app(services).openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document_text())
