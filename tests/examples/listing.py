"""What becomes of each example of the documentation: it runs, or waits for what this server cannot do yet."""

from __future__ import annotations

from dataclasses import dataclass

from tests.examples.documentation import examples

NETWORKING = "networking"
PORTS = "ports"
TYPESCRIPT = "TypeScript client"

PUBLISHED = (NETWORKING, PORTS)

TAKEN_APART = "As printed, bash takes the code inside apart at its single quotes."


@dataclass(frozen=True, slots=True)
class Listed:
    """One example; it runs unless it waits for something."""

    title: str
    language: str
    waits_for: tuple[str, ...] = ()
    note: str = ""
    command_waits_for: str = ""
    """What the command inside the container lacks, so that it fails where the request itself is carried out."""


LIST = (
    Listed("Using cURL", "bash"),
    Listed("Using JavaScript SDK", "javascript", (TYPESCRIPT,)),
    Listed("Using Python SDK", "python"),
    Listed(
        "Install Development Tools",
        "bash",
        note="`apt install` ends with 100: the container did not ask for networking.",
        command_waits_for=NETWORKING,
    ),
    Listed("Upload and Run Code", "bash"),
    Listed("Check State Persistence", "bash"),
    Listed("Data Science Workflow", "bash"),
    Listed("Data Science Workflow (2)", "bash"),
    Listed("AI Agent Environment", "bash"),
    Listed(
        "JavaScript - Complete Development Workflow",
        "javascript",
        (TYPESCRIPT,),
        "`pip install` needs networking, for which the container does not ask.",
        NETWORKING,
    ),
    Listed("Option 1: Timeout in Seconds", "javascript", (TYPESCRIPT,)),
    Listed("Option 2: Exact Expiration Time", "javascript", (TYPESCRIPT,), "The instant that it names has passed."),
    Listed("Option 3: Default (Recommended for Development)", "javascript", (TYPESCRIPT,)),
    Listed("Secure Container Execution (Default)", "python"),
    Listed("Network-Enabled Container Execution", "python", (NETWORKING,)),
    Listed("List All Container Executions", "python"),
    Listed("Get Container Execution Details", "python"),
    Listed("Container Execution History", "python"),
    Listed("JavaScript SDK Container Management", "typescript", (TYPESCRIPT,)),
    Listed(
        "Cost Estimation",
        "python",
        note="With a budget below the estimate: `create_container(...)` leaves its arguments to the reader.",
    ),
    Listed("Monitoring Container Status", "python"),
    Listed("Retrieving Container Logs", "python"),
    Listed("Retrieving Container Logs (2)", "bash"),
    Listed("Cancelling Containers", "python"),
    Listed("List Container Executions", "python"),
    Listed("Get Execution Details", "python"),
    Listed("Environment Variables and Secrets", "python", (NETWORKING,)),
    Listed("Custom Docker Images", "python", (NETWORKING,)),
    Listed("Image Security", "python"),
    Listed("Resource Limits", "python"),
    Listed("Real-time Status Monitoring", "python"),
    Listed("Execution Performance Analysis", "python"),
    Listed("One-Shot Container", "bash"),
    Listed("Persistent Container", "bash"),
    Listed("Execute Command in Persistent Container", "bash"),
    Listed("Update Container Settings", "bash"),
    Listed("Get Container Status", "bash"),
    Listed("List Containers", "bash"),
    Listed("Get Container Logs", "bash"),
    Listed("Cancel Container", "bash"),
    Listed("List Container Executions (2)", "bash"),
    Listed("List All Container Executions (2)", "bash"),
    Listed("Get Container Execution Details (2)", "bash"),
    Listed(
        "List All Executions (Global)",
        "bash",
        note="`language` is what the code interpreter runs, which does not exist yet: the list is empty.",
    ),
    Listed("Web Server Example", "bash", PUBLISHED),
    Listed("Web Server Example (2)", "json", PUBLISHED, "The answer to the example before."),
    Listed("Web Server Example (3)", "bash", PUBLISHED),
    Listed("Web Server Example (4)", "json", PUBLISHED, "The answer to the example before."),
    Listed("Python Flask API Server", "bash", PUBLISHED, TAKEN_APART),
    Listed("Node.js Express API", "bash", PUBLISHED, TAKEN_APART),
    Listed("Jupyter Notebook Development Environment", "bash", PUBLISHED),
    Listed("PostgreSQL Database", "bash", PUBLISHED),
    Listed("Redis Cache Server", "bash", PUBLISHED),
    Listed("JavaScript SDK with Port Mapping", "javascript", (TYPESCRIPT, *PUBLISHED)),
    Listed("Multi-Service Architecture", "bash", PUBLISHED, TAKEN_APART),
)


def page() -> str:
    """The list as a page (`docs/examples.md`)."""
    lines = {each.title: each.line for each in examples()}
    running = sum(not each.waits_for for each in LIST)
    rows = [f"| {lines[each.title]} | {each.title} | {each.language} | {_state(each)} | {each.note} |" for each in LIST]
    return "\n".join([_HEAD.format(all=len(LIST), running=running, waiting=len(LIST) - running), *rows, ""])


def _state(listed: Listed) -> str:
    state = f"waits for {', '.join(listed.waits_for)}" if listed.waits_for else "**runs**"
    return state + (f"; its command waits for {listed.command_waits_for}" if listed.command_waits_for else "")


_HEAD = """# The documentation's examples

Each example of `spec/containers-api.txt` is a test (`tests/examples/`). It is taken from that text, and run with
nothing changed but the host, the key and the ids that it invents, against a server that pulls its images from a
registry. Those images are built from Debian's packages, under the names that the examples use; for Ubuntu a Debian
stands in.
Of {all} examples {running} run and {waiting} wait for a part that this server does not have yet.

This page is written by `scripts/write-examples`. An example is named by the heading above it.

| line | example | language | state | note |
| --- | --- | --- | --- | --- |"""
