"""Where this machine gets Debian packages from, as lines for another Debian's sources.list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Debian's own keys; the same path exists in every Debian image."""


@dataclass(frozen=True, slots=True)
class Source:
    """One package source: where, and which suite of it."""

    uri: str
    suite: str
    components: tuple[str, ...]


def debian_sources(suite: str, apt_dir: Path = Path("/etc/apt")) -> str:
    """The machine's own sources of Debian `suite` with its updates, as one-line entries, or nothing.

    Third parties' sources are left out, and so are those with a password in them: images get copied around.
    """
    wanted = (suite, f"{suite}-updates", f"{suite}-security", f"{suite}/updates")
    found = {
        (source.uri, source.suite): source
        for source in _configured(apt_dir)
        if source.suite in wanted and "main" in source.components and "@" not in urlsplit(source.uri).netloc
    }
    if not any(name == suite for _, name in found):
        return ""
    options = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    return "".join(f"deb {options}{source.uri} {source.suite} main\n" for source in found.values())


def _configured(apt_dir: Path) -> Iterator[Source]:
    parts = apt_dir / "sources.list.d"
    for path in (apt_dir / "sources.list", *sorted(parts.glob("*.list"))):
        if path.is_file():
            yield from _one_line_entries(path.read_text(encoding="utf-8", errors="replace"))
    for path in sorted(parts.glob("*.sources")):
        yield from _deb822_entries(path.read_text(encoding="utf-8", errors="replace"))


def _one_line_entries(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words or words[0] != "deb":
            continue
        rest = " ".join(words[1:])
        if rest.startswith("["):
            rest = rest.partition("]")[2]
        fields = rest.split()
        if len(fields) >= 2:
            yield Source(fields[0], fields[1], tuple(fields[2:]))


def _deb822_entries(text: str) -> Iterator[Source]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in "\n".join(lines).split("\n\n"):
        fields = _fields(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri, suite, tuple(fields.get("components", "").split()))


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line[:1].isspace():
            fields[name] = f"{fields.get(name, '')} {line.strip()}"
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields
