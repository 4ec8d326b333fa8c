"""What the image side of a machine is told: where things lie, and how much it may take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """Settings of the image store; the defaults share podman's own images with the user."""

    data_dir: Path = Path("/var/lib/cognitora")
    """Ours: root file systems are mounted below it, downloads and builds in progress lie in it."""
    storage_root: Path | None = None
    """Another containers/storage than the machine's (podman's `--root`)."""
    run_root: Path | None = None
    """Where that storage keeps its locks and mounts (`--runroot`), at most 50 characters; by default below `/run`."""
    registries_conf: Path | None = None
    """Another registries.conf than the machine's: mirrors, insecure and blocked registries."""
    auth_file: Path | None = None
    """Another auth.json than root's own: the credentials of registries."""
    image_max_bytes: int = 20 * GIB
    """An image that takes more than this, unpacked, is refused."""
    disk_reserve_bytes: int = 2 * GIB
    """A pull or import stops before the storage's disk has less than this free."""
    pull_timeout_seconds: float = 1800.0
    """A pull that takes longer fails, and leaves nothing."""

    @property
    def scratch_dir(self) -> Path:
        """Holds what is being downloaded or built, one directory each; nothing in it outlives its work."""
        return self.data_dir / "images" / "scratch"
