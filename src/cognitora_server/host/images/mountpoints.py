"""The directories that we lay under (and, for odd images, over) an image's layers, so that drivers can mount
onto its read-only root."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

DIRECTORIES: dict[str, int] = {
    "proc": 0o755,
    "dev": 0o755,
    "sys": 0o755,
    "run": 0o755,
    "tmp": 0o1777,
    "etc": 0o755,
    ".cognitora": 0o755,
}
"""Directories that every root has, with the mode they get where the image lacks them."""

FILES = ("etc/hosts", "etc/hostname", "etc/resolv.conf")
"""Empty files to mount others onto."""


class Mountpoints:
    """Two directories of ours for one image: `bottom`, and `top` where the bottom does not show through."""

    def __init__(self, place: Path, volumes: Sequence[str]) -> None:
        self._bottom = place / "bottom"
        self._top = place / "top"
        self._volumes = [PurePosixPath(volume).relative_to("/") for volume in volumes]

    def around(self, layers: Sequence[Path]) -> list[Path]:
        """The image's layers with our directories as they are now."""
        return [*([self._top] if self._top.is_dir() else []), *layers, self._bottom]

    def make(self, layers: Sequence[Path], mount: Callable[[Sequence[Path]], Path]) -> list[Path]:
        """Make our directories and have them mounted; returns all layers, top first.

        A layer can hide what lies below it (a file called `/proc`, an opaque `/etc`, a whiteout). What cannot
        be seen in the mounted root is added on top, and the whole is mounted once more.
        """
        for path in (self._bottom, self._top):
            shutil.rmtree(path, ignore_errors=True)
        self._fill_bottom()
        root = mount(self.around(layers))
        if self._fill_top(root):
            mount(self.around(layers))
        return self.around(layers)

    def _fill_bottom(self) -> None:
        self._bottom.mkdir(parents=True)
        for name, mode in DIRECTORIES.items():
            _make_directory(self._bottom / name, mode)
        for name in FILES:
            (self._bottom / name).touch(0o644)
        for volume in self._volumes:
            # A volume below one of our files cannot be; the image has to have it.
            with suppress(FileExistsError, NotADirectoryError, OSError):
                (self._bottom / volume).mkdir(parents=True, exist_ok=True)

    def _fill_top(self, root: Path) -> bool:
        missing = [(PurePosixPath(name), True) for name in DIRECTORIES if not _is_directory(root, name)]
        missing += [(volume, False) for volume in self._volumes if _is_missing(root, volume)]
        hidden = [PurePosixPath(name) for name in FILES if _is_missing(root, PurePosixPath(name))]
        if not missing and not hidden:
            return False
        with _opened(root) as descriptor:
            self._top.mkdir(parents=True)
            _copy_owner(os.fstat(descriptor), self._top)
        for path, required in missing:
            self._add_directory(root, path, required)
        for path in hidden:
            self._add_directory(root, path.parent, required=False)
            (self._top / path).touch(0o644)
        return True

    def _add_directory(self, root: Path, path: PurePosixPath, required: bool) -> None:
        """Add `path` on top; parents look as they do in the image. Never replaces a file unless `required`."""
        for depth in range(1, len(path.parts) + 1):
            part = PurePosixPath(*path.parts[:depth])
            if (self._top / part).is_dir():
                continue
            with suppress(FileNotFoundError):
                found = _look(root, part)
                if stat.S_ISDIR(found.st_mode):
                    (self._top / part).mkdir()
                    _copy_owner(found, self._top / part)
                    continue
                if not required:
                    return
            _make_directory(self._top / part, DIRECTORIES.get(str(part), 0o755))


def _make_directory(path: Path, mode: int) -> None:
    path.mkdir(exist_ok=True)
    path.chmod(mode)


def _copy_owner(found: os.stat_result, path: Path) -> None:
    os.chown(path, found.st_uid, found.st_gid)
    path.chmod(stat.S_IMODE(found.st_mode))


def _is_directory(root: Path, name: str) -> bool:
    try:
        return stat.S_ISDIR(_look(root, PurePosixPath(name)).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _is_missing(root: Path, path: PurePosixPath) -> bool:
    """Nothing is there, and something can be put there: no link and no file stands on the way."""
    try:
        _look(root, path)
    except FileNotFoundError:
        return True
    except (NotADirectoryError, OSError):
        return False
    return False


def _look(root: Path, path: PurePosixPath) -> os.stat_result:
    """lstat inside a root that a stranger wrote: no component of `path` is followed if it is a link.

    `FileNotFoundError` where nothing is; `NotADirectoryError` where a link or a file stands on the way.
    """
    with _opened(root) as descriptor:
        current = os.dup(descriptor)
    try:
        for part in path.parts[:-1]:
            following = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
            os.close(current)
            current = following
        return os.stat(path.name, dir_fd=current, follow_symlinks=False)
    finally:
        os.close(current)


@contextmanager
def _opened(root: Path) -> Iterator[int]:
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
