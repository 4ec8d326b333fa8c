"""HTTP in, HTTP out. Knows the wire and the control layer's verbs, and nothing below them."""

from .app import create_app
from .ports import Services

__all__ = ["Services", "create_app"]
