"""JSON as people write it: with `//` and `/* */` comments, trailing commas, and line breaks inside strings.

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
_ESCAPES = {b"\n": b"\\n", b"\r": b"\\r", b"\t": b"\\t"}
_BREAKS = re.compile(rb"[\n\r\t]")
_NOT_LINE_END = re.compile(rb"[^\r\n]")


def plain_json(text: bytes) -> bytes:
    """Return `text` with comments and trailing commas blanked out, and line breaks and tabs in strings escaped."""
    return _COMMAS.sub(_without_comma, _COMMENTS.sub(_without_comment, text))


def _without_comment(match: re.Match[bytes]) -> bytes:
    if match["comment"] is not None:
        return _NOT_LINE_END.sub(b" ", match[0])
    # The documentation's examples carry whole programs in their strings, line breaks and all.
    return _BREAKS.sub(lambda found: _ESCAPES[found[0]], match[0])


def _without_comma(match: re.Match[bytes]) -> bytes:
    return match[0] if match["comma"] is None else b" "
