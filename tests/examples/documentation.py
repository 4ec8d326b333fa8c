"""The examples of the documentation, taken from its text as a browser copies it from the page.

There a block of code is a line with its language, a line `Copy` and the code. Nothing marks its end but a blank line,
and code has blank lines too: so a block ends at the first blank line where it is whole and what follows is not code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

DOCUMENTATION = Path(__file__).parents[2] / "spec" / "containers-api.txt"

LANGUAGES = ("bash", "python", "javascript", "typescript", "json")

_QUOTED = r"""'[^']*'|"(?:\\.|[^"\\])*\""""
_JSON = r'"(?:\\.|[^"\\])*"|//[^\n]*'
#: Strings and comments, in which brackets and quotes mean nothing.
_TEXTS = {
    "curl": _QUOTED + r"|\\[\s\S]|(?<![^\s])\#[^\n]*",
    "http": _JSON,
    "json": _JSON,
    "javascript": r"'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|" + _JSON,
}
#: How a paragraph begins that goes on with the code before it.
_GOES_ON = {
    "curl": r"#|curl |[A-Z_]+=",
    "http": r"\{",
    "json": r"(?!)",
    "python": r"\s|#|(import|from|def|async|await|class|for|if|with)\b|[\w.]+(\(| = )",
    "javascript": r"//|(import|const|let|async|await|return)\b|[\w.]+\(",
}


@dataclass(frozen=True, slots=True)
class Example:
    """One block of code."""

    title: str
    """The heading it stands under; where several do, the second has ` (2)` after it."""
    language: str
    text: str
    line: int
    """Of the file, where the code begins; counted from 1."""

    @property
    def parts(self) -> list[str]:
        """The code in pieces that are whole for themselves: a script's commands, a request's head and body."""
        lines = self.text.split("\n")
        ends = list(_whole_until(_kind(self.language, lines), lines))
        return ["\n".join(lines[start:end]).strip() for start, end in pairwise([0, *ends])]


def examples(text: str | None = None) -> list[Example]:
    """Every example, in order. Raises ValueError where one has no end."""
    lines = (DOCUMENTATION.read_text(encoding="utf-8") if text is None else text).splitlines()
    starts = [number for number, line in enumerate(lines) if line == "Copy" and lines[number - 1] in LANGUAGES]
    found: list[Example] = []
    after, heading = 0, ""
    for start, following in zip(starts, [*starts[1:], len(lines) + 1], strict=True):
        heading = _heading(lines[after : start - 1]) or heading
        language, code = lines[start - 1], lines[start + 1 : following - 1]
        length = _length(language, code)
        after = start + 1 + length
        same = sum(re.sub(r" \(\d\)$", "", earlier.title) == heading for earlier in found)
        title = f"{heading} ({same + 1})" if same else heading
        found.append(Example(title, language, "\n".join(code[:length]).rstrip(), start + 2))
    return found


def example(title: str) -> Example:
    """The example of this title."""
    return next(each for each in examples() if each.title == title)


def _heading(prose: list[str]) -> str:
    """The last line that is neither a sentence nor a point of a list nor a row of a table; empty if there is none."""
    headings = [line for line in prose if line and not line.endswith((".", ":")) and not line.startswith(" ")]
    return headings[-1] if headings else ""


def _length(language: str, lines: list[str]) -> int:
    kind = _kind(language, lines)
    length = 0
    for end in _whole_until(kind, lines):
        following = next((line for line in lines[length:] if line.strip()), "")
        if length and not re.match(_GOES_ON[kind], following):
            break
        length = end
    return length or _no_end(lines)


def _kind(language: str, lines: list[str]) -> str:
    if language == "bash":
        return "http" if re.match(r"(GET|POST|PUT|PATCH|DELETE) /", lines[0]) else "curl"
    return "javascript" if language == "typescript" else language


def _whole_until(kind: str, lines: list[str]) -> Iterator[int]:
    """The blank lines, and the end, at which all that was opened is closed."""
    for number, line in enumerate([*lines, ""]):
        if number and not line.strip() and _whole(kind, "\n".join(lines[:number])):
            yield number


def _whole(kind: str, code: str) -> bool:
    if kind == "python":
        return _parses(code)
    bare = re.sub(_TEXTS[kind], "", code)
    if kind == "curl":
        return not re.search(r"['\"\\]", bare)
    return all(bare.count(left) == bare.count(right) for left, right in ("{}", "()", "[]")) and "`" not in bare


def _parses(code: str) -> bool:
    try:
        compile(code, "example", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError:
        return False
    return True


def _no_end(lines: list[str]) -> int:
    raise ValueError(f"this example has no end: {lines[0]!r}")
