"""JSON as people write it: `//` and `/* */` comments and trailing commas become spaces.

Valid JSON comes out as it went in. Linear in the length: no pattern here looks at a character more than a
fixed number of times, unterminated strings and comments included.
"""

from __future__ import annotations

import re

#: The rest of an unterminated string or comment is one token too; otherwise each quote in it would be tried again.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
_COMMENTS = re.compile(_STRING + rb"|(?P<comment>//[^\n\r]*+|/\*(?:.*?\*/|.*+))", re.DOTALL)
#: A comma with no value before it (`[,]`, `[1,,]`) stays, and stays wrong.
_COMMAS = re.compile(_STRING + rb"|[\[{:,]\s*+,|(?P<comma>,)(?=\s*+[\]}])", re.DOTALL)
_NOT_LINE_END = re.compile(rb"[^\r\n]")


def plain_json(text: bytes) -> bytes:
    """Return `text` with comments and trailing commas blanked out; every other byte keeps its place."""
    return _COMMAS.sub(_without_comma, _COMMENTS.sub(_without_comment, text))


def _without_comment(match: re.Match[bytes]) -> bytes:
    return match[0] if match["comment"] is None else _NOT_LINE_END.sub(b" ", match[0])


def _without_comma(match: re.Match[bytes]) -> bytes:
    return match[0] if match["comma"] is None else b" "
