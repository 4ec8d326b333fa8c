"""Images on this machine: pulled, imported or built into containers/storage, and mounted for sandboxes."""

from cognitora_server.host.images.settings import ImageSettings

__all__ = ["ImageSettings"]
