"""No example of the documentation is lost, and the list says what is true of each."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.examples.documentation import DOCUMENTATION, examples
from tests.examples.listing import LIST, page

HERE = Path(__file__).parent


def test_every_block_of_the_documentation_is_an_example() -> None:
    blocks = re.findall(r"^(\w+)\nCopy\n(.*)$", DOCUMENTATION.read_text(), re.MULTILINE)
    assert len(blocks) == 55
    assert [(each.language, each.text.split("\n")[0]) for each in examples()] == blocks


def test_what_is_left_is_prose_and_what_is_taken_is_code() -> None:
    prose = DOCUMENTATION.read_text().splitlines()
    for each in reversed(examples()):
        lines = each.text.split("\n")
        assert prose[each.line - 1 : each.line - 1 + len(lines)] == lines
        del prose[each.line - 1 : each.line - 1 + len(lines)]
        assert re.search(r"[]})\"';]$|^(#|GET |Authorization: )", lines[-1]), lines[-1]
    code = r"\\$|[{};(,\[]$|^\s+[^\s•]|^[]})]|^(curl|import|print|const|await|for)\b"
    assert [line for line in prose if re.search(code, line)] == []


def test_each_example_is_in_the_list_once_and_no_other() -> None:
    assert [(each.title, each.language) for each in LIST] == [(each.title, each.language) for each in examples()]
    assert len({each.title for each in LIST}) == len(LIST)


def test_what_the_list_says_to_run_is_what_the_tests_run() -> None:
    assert {each.title for each in LIST if not each.waits_for} == _taken_by_tests()


def test_the_page_is_the_list() -> None:
    assert (HERE.parents[1] / "docs" / "examples.md").read_text() == page(), "run scripts/write-examples"


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("bash", "curl -d '{\n  \"a\": \"it'\\''s\n\n  b\"\n}'\n\n# and\ncurl \\\n  -X GET url"),
        ("bash", 'POST /x\nA: b\n\n{\n  "a": "}",  // {\n\n  "b": 1\n}'),
        ("python", 'x = f("""\n\ny\n    """)\n\nif x:\n    pass\n\n    print(x)\n\n# the end\nawait x'),
        ("javascript", "f({ a: `\n\n${b} {`, // (\n});\n\nconsole.log('(')"),
        ("json", '{\n  "a": {\n\n    "b": "pending"\n  }\n}'),
    ],
    ids=["curl", "http", "python", "javascript", "json"],
)
@pytest.mark.parametrize("prose", ["Monitoring and Debugging", "Options", "With (brackets), in a sentence.", ""])
def test_an_example_ends_where_its_code_ends(language: str, code: str, prose: str) -> None:
    text = f"A Title\n\n{language}\nCopy\n{code}\n\n{prose}\n\nbash\nCopy\ncurl url\n\nThe end.\n"
    first, second = examples(text)
    assert (first.title, first.language, first.text, first.line) == ("A Title", language, code, 5)
    assert (second.title, second.text) == (prose if prose and prose[-1] != "." else "A Title (2)", "curl url")


def test_an_example_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="no end"):
        examples("Title\n\nbash\nCopy\ncurl -d '{\n\nprose\n")


def _taken_by_tests() -> set[str]:
    """The titles in `example("…")`, wherever the tests say so."""
    calls = [
        node
        for file in HERE.glob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "example"
    ]
    return {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}  # type: ignore[misc]
