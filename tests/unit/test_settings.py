"""Settings: flags over environment over file; wrong ones are named; the page is true."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from cognitora_server.settings import InvalidSettings, load_settings

ROOT = Path(__file__).parents[2]


def test_flags_win_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('listen = "127.0.0.1:1"\nconcurrent_starts = 7\nready_disks = 1\n')
    monkeypatch.setenv("COGNITORA_READY_DISKS", "2")
    monkeypatch.setenv("COGNITORA_CONCURRENT_STARTS", "8")
    settings = load_settings(file, concurrent_starts=9, data_dir=None)
    assert (settings.listen, settings.ready_disks, settings.concurrent_starts) == ("127.0.0.1:1", 2, 9)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("lisen = 1", "lisen"),
        ('listen = "8080"', "listen: give HOST:PORT"),
        ('listen = "example:80"', "listen"),
        ("ready_disks = -1", "ready_disks"),
        ("account_budget_credits = inf", "account_budget_credits"),
        ("cpu_overcommit = nan", "cpu_overcommit"),
        ("not toml", "cannot be read"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(InvalidSettings, match=named):
        load_settings(file)


def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COGNITORA_MINIMUM_ISOLATON", "container")
    with pytest.raises(InvalidSettings, match="COGNITORA_MINIMUM_ISOLATION"):
        load_settings()


def test_a_settings_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="no settings file"):
        load_settings(tmp_path / "missing.toml")


def test_the_page_lists_every_setting_as_it_is() -> None:
    written = runpy.run_path(str(ROOT / "scripts" / "write-settings"))["page"]()
    assert (ROOT / "docs" / "settings.md").read_text() == written, "run scripts/write-settings"
