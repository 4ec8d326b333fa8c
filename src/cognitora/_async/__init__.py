"""The client, as it is written: async. `scripts/write-sync-client` writes `_sync` from it."""
