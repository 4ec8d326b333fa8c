"""Files on the wire."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from .base import WireRequest
from .processes import FilePath


class FileQuery(WireRequest):
    """Which file."""

    path: Annotated[
        FilePath,
        Field(description="Where to write it; a relative path begins at the image's working directory."),
    ]


class FileWritten(BaseModel):
    """What was written."""

    path: str
    size: Annotated[int, Field(description="Bytes.")]
