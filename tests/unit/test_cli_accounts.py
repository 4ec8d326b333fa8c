"""`cognitora accounts`, as a script uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

COGNITORA = Path(sys.executable).with_name("cognitora")


def cognitora(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COGNITORA, *arguments], capture_output=True, text=True, check=False)


def limits(folder: Path) -> dict[str, Any]:
    [account] = json.loads(cognitora("accounts", "list", "--json", "--data-dir", folder).stdout)
    return {name: value for name, value in account.items() if name != "id"}


def test_limits_are_set_lifted_and_given_back_to_the_settings(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("account_max_containers = 3\naccount_budget_credits = 50\n")
    cognitora("keys", "create", "--data-dir", tmp_path, "key")
    where = ("--data-dir", tmp_path, "--settings", settings)
    done = cognitora("accounts", "set", "default", "--budget-credits", "12.5", "--max-containers", "none", *where)
    assert (done.returncode, done.stderr) == (0, "")
    assert "12.5" in done.stdout
    none = {"max_containers": None, "max_cpu_cores": None, "max_memory_mb": None}
    own = ["budget_credits", "max_containers"]
    assert limits(tmp_path) == {"name": "default", "budget_credits": 12.5, **none, "own": own}
    cognitora("accounts", "set", "default", "--budget-credits", "default", "--max-memory-mb", "4096", *where)
    [account] = json.loads(cognitora("accounts", "list", "--json", *where).stdout)
    assert (account["budget_credits"], account["max_memory_mb"], account["max_containers"]) == (50, 4096, None)


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    cognitora("keys", "create", "--data-dir", tmp_path, "key")
    absent = cognitora("accounts", "set", "absent", "--max-containers", "1", "--data-dir", tmp_path)
    assert (absent.returncode, absent.stderr.count("\n")) == (1, 1)
    assert "'absent'" in absent.stderr
    for arguments in (("--budget-credits", "-1"), ("--budget-credits", "nan"), ("--max-containers", "1.5"), ()):
        wrong = cognitora("accounts", "set", "default", *arguments, "--data-dir", tmp_path)
        assert wrong.returncode == 2
        assert not wrong.stdout
    assert limits(tmp_path)["own"] == []
