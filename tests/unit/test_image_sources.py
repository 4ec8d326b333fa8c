from pathlib import Path

from cognitora_server.host.images.apt_sources import debian_sources
from cognitora_server.host.images.recipes import RECIPES, find_recipe

DEB822 = """\
# A comment.
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm
 bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /x.gpg

Types: deb
URIs: https://user:secret@private.example/debian
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""


def test_the_machines_own_debian_sources_are_taken(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "debian.sources").write_text(DEB822)
    (parts / "third.list").write_text("deb [arch=amd64 signed-by=/k] https://third.example/linux bookworm stable\n")
    (tmp_path / "sources.list").write_text("deb http://sec.example/debian-security bookworm-security main # why\n")
    found = {tuple(line.split()[-3:]) for line in debian_sources("bookworm", tmp_path).splitlines()}
    assert found == {
        ("http://sec.example/debian-security", "bookworm-security", "main"),
        ("http://mirror.example/debian", "bookworm", "main"),
        ("http://mirror.example/debian", "bookworm-updates", "main"),
    }


def test_another_release_has_none(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(
        "deb http://x.example/debian trixie main\ndeb http://x.example/s bookworm-updates main"
    )
    assert debian_sources("bookworm", tmp_path) == ""


def test_recipes_are_found_by_name_with_or_without_tag() -> None:
    assert find_recipe("python") is RECIPES["python"] is find_recipe("python:3.11")
    assert find_recipe("python:3.12") is None
    assert find_recipe("zork") is None


def test_a_changed_recipe_has_another_fingerprint() -> None:
    prints = {recipe.fingerprint for recipe in RECIPES.values()}
    assert len(prints) == len(RECIPES)
    assert all(recipe.labels()["dev.cognitora.local-build"] == "true" for recipe in RECIPES.values())
