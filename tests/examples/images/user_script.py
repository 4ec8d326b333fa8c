"""What an example runs: a program that nobody trusts, and that looks for a way out."""

import socket

try:
    socket.create_connection(("192.0.2.1", 80), timeout=5)
except OSError as error:
    print(f"No way out: {error.strerror}")
else:
    print("The internet was reached")
