"""The sync client is the one that `scripts/write-sync-client` writes."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_sync_client_is_what_the_script_writes() -> None:
    written = runpy.run_path(str(ROOT / "scripts" / "write-sync-client"))["sync_modules"]()
    folder = ROOT / "src" / "cognitora" / "_sync"
    found = {path.name: path.read_text() for path in folder.glob("*.py")}
    assert found == written, "run scripts/write-sync-client"
