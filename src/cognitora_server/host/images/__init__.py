"""Images on this machine: pulled, imported or built into containers/storage, and mounted for sandboxes."""

from cognitora_server.host.images.bootstrap import Bootstrapped, bootstrap
from cognitora_server.host.images.progress import ProgressListener, PullProgress
from cognitora_server.host.images.rootfs import OVERLAY_OPTIONS, Rootfs
from cognitora_server.host.images.settings import ImageSettings
from cognitora_server.host.images.store import ImageDiskUsage, ImageStore

__all__ = [
    "OVERLAY_OPTIONS",
    "Bootstrapped",
    "ImageDiskUsage",
    "ImageSettings",
    "ImageStore",
    "ProgressListener",
    "PullProgress",
    "Rootfs",
    "bootstrap",
]
