"""Small images made by hand, byte for byte: the only way to make hostile ones."""

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path


def member(name: str, content: bytes = b"", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = 0o644
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


def directory(name: str, mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.DIRTYPE, mode=mode)


def link(name: str, target: str, hard: bool = False) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.LNKTYPE if hard else tarfile.SYMTYPE, linkname=target)


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@dataclass
class OciImage:
    layers: list[bytes]
    config: dict[str, object] = field(default_factory=dict)
    compress: bool = False
    architecture: str = "amd64"

    def write_layout(self, place: Path) -> Path:
        """An OCI image layout directory with the one tag `image`."""
        self._blobs = place / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        suffix = "+gzip" if self.compress else ""
        layers = [
            self._blob(gzip.compress(data, 1) if self.compress else data, f"layer.v1.tar{suffix}")
            for data in self.layers
        ]
        config = {
            "architecture": self.architecture,
            "os": "linux",
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(data)}" for data in self.layers]},
            "history": [{"created_by": "test"} for _ in self.layers],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self._blob(json.dumps(config).encode(), "config.v1+json"),
            "layers": layers,
        }
        entry = self._blob(json.dumps(manifest).encode(), "manifest.v1+json")
        entry["annotations"] = {"org.opencontainers.image.ref.name": "image"}
        (place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        return place

    def write_archive(self, path: Path) -> Path:
        layout = self.write_layout(path.with_suffix(".layout"))
        with tarfile.open(path, "w") as archive:
            for name in ("oci-layout", "index.json", "blobs"):
                archive.add(layout / name, name)
        return path

    def _blob(self, data: bytes, kind: str) -> dict[str, object]:
        digest = _digest(data)
        (self._blobs / digest).write_bytes(data)
        return {
            "mediaType": f"application/vnd.oci.image.{kind}",
            "digest": f"sha256:{digest}",
            "size": len(data),
        }


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
