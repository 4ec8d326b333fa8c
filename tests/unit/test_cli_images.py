"""`cognitora images`, as a person uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COGNITORA = Path(sys.executable).with_name("cognitora")


@pytest.mark.parametrize("name", ["localhost/no-such-image:here", "Not A Name"])
def test_an_image_that_is_not_there_cannot_be_removed_and_that_is_one_sentence(tmp_path: Path, name: str) -> None:
    failed = subprocess.run(
        [COGNITORA, "images", "--data-dir", tmp_path, "rm", name], capture_output=True, text=True, check=False
    )
    assert (failed.returncode, failed.stderr.count("\n")) == (1, 1), failed.stderr
    assert failed.stderr.startswith("cognitora: ")
    assert name in failed.stderr
