"""Our side of the guest protocol (`spec/guest.yaml`). All that comes from a guest is hostile and is bounded here."""

from .activity import Counts
from .client import GuestClient
from .frames import Exit, Frame, Gap, Stderr, Stdout
from .process import Process, ProcessSpec

__all__ = ["Counts", "Exit", "Frame", "Gap", "GuestClient", "Process", "ProcessSpec", "Stderr", "Stdout"]
