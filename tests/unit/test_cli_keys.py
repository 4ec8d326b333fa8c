"""`cognitora keys`, as a script and as a person use it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

COGNITORA = Path(sys.executable).with_name("cognitora")


def cognitora(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COGNITORA, *arguments], capture_output=True, text=True, check=False)


def test_a_key_is_printed_alone_listed_without_its_secret_and_revoked(tmp_path: Path) -> None:
    made = cognitora("keys", "create", "--data-dir", tmp_path, "[/odd] name")
    secret = made.stdout.strip()
    assert (made.returncode, secret[:4], made.stdout.count("\n")) == (0, "cgk_", 1)
    listed = cognitora("keys", "list", "--data-dir", tmp_path)
    key = json.loads(cognitora("keys", "list", "--json", "--data-dir", tmp_path).stdout)[0]
    assert key["id"] in listed.stdout
    assert "[/odd] name" in listed.stdout
    assert secret not in listed.stdout
    assert cognitora("keys", "revoke", "--data-dir", tmp_path, key["id"]).returncode == 0
    assert json.loads(cognitora("keys", "list", "--json", "--data-dir", tmp_path).stdout)[0]["revoked_at"]


def test_what_goes_wrong_is_one_sentence(tmp_path: Path) -> None:
    twice = [cognitora("keys", "create", "--data-dir", tmp_path, "same") for _ in range(2)]
    assert twice[1].returncode == 1
    assert twice[1].stderr.count("\n") == 1
    (tmp_path / "file").touch()
    for arguments in (("revoke", "none", "--data-dir", tmp_path), ("list", "--data-dir", tmp_path / "file" / "x")):
        failed = cognitora("keys", *arguments)
        assert (failed.returncode, failed.stderr.count("\n")) == (1, 1), failed.stderr


def test_what_is_done_with_keys_is_in_the_audit_log(tmp_path: Path) -> None:
    secret = cognitora("keys", "create", "--data-dir", tmp_path, "[/odd] name").stdout.strip()
    cognitora("keys", "create", "--data-dir", tmp_path, "another", "--account", "other")
    cognitora("keys", "revoke", "--data-dir", tmp_path, "[/odd] name")
    cognitora("accounts", "set", "--data-dir", tmp_path, "default", "--max-containers", "3")
    shown = cognitora("audit", "--data-dir", tmp_path, "--account", "default", "--json")
    entries = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [(entry["action"], entry["key_name"], entry["actor"]) for entry in entries] == [
        ("key.create", "[/odd] name", "cli"),
        ("key.revoke", "[/odd] name", "cli"),
        ("account.limits", None, "cli"),
    ]
    assert all(entry["details"]["user"] for entry in entries)
    assert entries[2]["details"]["max_containers"] == "3"
    table = cognitora("audit", "--data-dir", tmp_path).stdout
    assert ("key.revoke" in table, "[/odd] name" in table, "another" in table) == (True, True, True)
    assert not cognitora("audit", "--data-dir", tmp_path, "--since", "2999-01-01", "--json").stdout
    assert secret not in table + shown.stdout
    for wrong in (("--since", "never"), ("--account", "nobody")):
        failed = cognitora("audit", "--data-dir", tmp_path, *wrong)
        assert (failed.returncode, failed.stderr.count("\n")) == (1, 1), failed.stderr
