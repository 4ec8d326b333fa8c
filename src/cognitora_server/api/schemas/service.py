"""What the server says about itself, and the form of every error."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field


class ErrorAnswer(BaseModel):
    """An error. Programs read `code`, people `error`."""

    error: Annotated[str, Field(description="A sentence a person can act on.")]
    code: Annotated[str, Field(description="A word that stays the same.", examples=["invalid_request"])]
    request_id: Annotated[str, Field(description="As in X-Request-Id and in the server's log.")]
    details: Annotated[
        dict[str, Any],
        Field(
            description="More for programs; after a 422, `fields` lists each field and what is wrong with it.",
            examples=[{"fields": [{"field": "memoryMb", "message": "must be at least 64"}]}],
        ),
    ]


class Live(BaseModel):
    """The server answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """The server can do its work."""

    status: Literal["ready"] = "ready"
    problems: list[str] = []


class NotReady(ErrorAnswer):
    """The server cannot do its work now."""

    code: Literal["not_ready"] = "not_ready"
    status: Literal["not_ready"] = "not_ready"
    problems: Annotated[list[str], Field(description="What is wrong, in sentences.")]


class About(BaseModel):
    """What this is, and where things are."""

    name: str
    version: str
    api: str
    docs: str
    openapi: str
    health: str
    ready: str
