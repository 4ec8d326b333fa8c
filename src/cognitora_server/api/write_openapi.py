"""Writes the OpenAPI document of the app to a file: `python -m cognitora_server.api.write_openapi FILE`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, cast

from ..domain.clock import SystemClock
from ..settings import Settings
from .app import create_app
from .ports import Services


def document_text() -> str:
    """Return the document as it is checked in."""
    # A document needs routes, and no one to serve them.
    nobody = cast(Any, None)
    services = Services(
        nobody, nobody, nobody, nobody, nobody, nobody, nobody, nobody, Settings.model_construct(), SystemClock()
    )
    return json.dumps(create_app(services).openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document_text())
