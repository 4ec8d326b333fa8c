"""What an example runs: work that needs nothing but the processor."""

import hashlib

print(f"The report's sum: {hashlib.sha256(b'report').hexdigest()}")
