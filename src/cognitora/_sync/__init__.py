# Written by scripts/write-sync-client from ../_async: change it there.
"""The sync client."""
