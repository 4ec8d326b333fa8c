"""What is built from this tree: the client alone, complete, and not a part of the server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import cognitora

SOURCE = Path(__file__).parents[2] / "src" / "cognitora"
ROOT = SOURCE.parents[1]
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, 'build_' + sys.argv[1])(sys.argv[2])"


def build(kind: str, project: Path, out: Path) -> Path:
    """Return the wheel or sdist of a project, made by its build backend."""
    out.mkdir(exist_ok=True)
    done = subprocess.run([sys.executable, "-c", BUILD, kind, out], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, built from a copy: a build leaves files behind."""
    folder = tmp_path_factory.mktemp("client")
    shutil.copytree(
        SOURCE, folder / "tree", ignore=shutil.ignore_patterns("__pycache__", "build", "dist", "*.egg-info")
    )
    return build("sdist", folder / "tree", folder / "sdist")


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(["tar", "-xf", sdist], cwd=folder, check=True)
    (project,) = folder.iterdir()
    return build("wheel", project, folder / "wheel")


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(f"cognitora-{cognitora.__version__}.dist-info/METADATA").decode()
    sources = [*SOURCE.glob("*.py"), *SOURCE.glob("_*/*.py")]
    modules = {str(path.relative_to(SOURCE.parent)) for path in sources}
    assert {name for name in names if ".dist-info/" not in name} == modules | {"cognitora/py.typed"}
    assert any(name.endswith("/LICENSE") for name in names)
    assert "Name: cognitora\n" in metadata
    assert [line for line in metadata.splitlines() if line.startswith("Requires-Dist")] == [
        "Requires-Dist: httpx>=0.27"
    ]


def test_an_installed_wheel_works(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip: list[str | Path] = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    pip += ["--target", site, wheel]
    subprocess.run(pip, check=True, capture_output=True)
    program = (
        "import cognitora; print(cognitora.__file__); "
        "[getattr(cognitora, name) for name in cognitora.__all__]; print(cognitora.Cognitora('cgk_key'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    environment.pop("COGNITORA_BASE_URL", None)
    run: list[str] = [sys.executable, "-P", "-W", "error", "-c", program]
    done = subprocess.run(run, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        str(site / "cognitora" / "__init__.py"),
        "Cognitora(base_url='http://127.0.0.1:8080')",
    ], done.stderr


def test_the_servers_wheel_does_not_hold_the_client(tmp_path: Path) -> None:
    project = tmp_path / "tree"
    no_binaries = shutil.ignore_patterns("__pycache__", "*.egg-info", "bin")
    shutil.copytree(ROOT / "src", project / "src", ignore=no_binaries)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, project)
    with zipfile.ZipFile(build("wheel", project, tmp_path / "out")) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"cognitora_server"}
