"""Files on the wire."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from .base import Text, WireRequest
from .processes import file_path


class FileQuery(WireRequest):
    """Which file."""

    path: Annotated[
        Text,
        AfterValidator(file_path),
        Field(description="Where to write it; a relative path begins at the image's working directory."),
    ]


class FileWritten(BaseModel):
    """What was written."""

    path: str
    size: Annotated[int, Field(description="Bytes.")]
