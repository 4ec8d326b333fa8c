"""One table on standard output, and the same as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.timing import Result


def parser(name: str, description: str | None, rounds: int | None = None) -> argparse.ArgumentParser:
    """Return a parser of what all benchmarks understand. `rounds`: the default, where there are any."""
    made = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=description)
    if rounds is not None:
        made.add_argument("--rounds", type=_positive, default=rounds, help=f"how often each is measured ({rounds})")
    made.add_argument("--json", type=Path, metavar="FILE", help="write every single figure to FILE")
    return made


def parse(made: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line; end here where the benchmark cannot run."""
    options = made.parse_args()
    if os.geteuid() != 0:
        sys.exit("Benchmarks start real sandboxes: run them as root.")
    return options


def machine() -> str:
    """Say in general words what was measured on."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    kernel = re.match(r"[\d.]*\d", platform.release())
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, Linux {kernel.group() if kernel else '?'}"


def report_timings(title: str, results: Sequence[Result], notes: Sequence[str], file: Path | None) -> None:
    """Print the table of what `measure` gave, and write the JSON."""
    medians = {result.name: result.median for result in results}
    table = Table(title=title, caption="\n".join((machine(), *notes)), caption_justify="left")
    table.add_column("what")
    for heading in ("median", "min", "max"):
        table.add_column(heading, justify="right")
    table.add_column("ratio (target)")
    rows = []
    for result in results:
        ratios = [
            {"against": other.against, "ratio": result.median / medians[other.against], "target": other.target}
            for other in result.comparisons
            if other.against in medians
        ]
        figures = (result.median, min(result.seconds), max(result.seconds))
        table.add_row(result.name, *map(_time, figures), "\n".join(map(_ratio, ratios)))
        rows.append({"name": result.name, "median": result.median, "seconds": result.seconds, "ratios": ratios})
    rounds = len(results[0].seconds) if results else 0
    show(table)
    write_json(file, {"title": title, "rounds": rounds, "results": rows, "notes": list(notes)})


def show(table: Table) -> None:
    """Print a table, whole even where the terminal (or the file that stands for it) is narrow."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(table)


def write_json(file: Path | None, value: dict[str, Any]) -> None:
    """Write a benchmark's figures, with what they were measured on."""
    if file is not None:
        file.write_text(json.dumps({"machine": machine(), **value}, indent=1) + "\n")


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 10 else f"{seconds:.1f} s"


def _ratio(ratio: dict[str, Any]) -> str:
    text = f"{ratio['ratio']:.2f} of {ratio['against']}"
    if ratio["target"] is None:
        return text
    colour = "green" if ratio["ratio"] <= ratio["target"] else "red"
    return f"[{colour}]{text} (≤ {ratio['target']:g})[/]"


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number
