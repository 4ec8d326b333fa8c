"""What an example runs: work that needs no network."""

import hashlib
import platform

print(f"Python {platform.python_version()} signed {hashlib.sha256(b'report').hexdigest()[:8]}")
