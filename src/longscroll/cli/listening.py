"""What every command that serves has in common: its socket, the one line when it answers, and how signals end it."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from longscroll.errors import StartupError

UNSENT_BYTES = 128 << 10
"""Of a reply that its client does not take yet; the kernel would keep megabytes."""


class CalmServer(uvicorn.Server):
    """uvicorn, for which to be told to end is no failure."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM; they are not raised again at the end: who was told to end has ended well."""
        handlers = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def listen(host: str, port: int) -> socket.socket:
    """Bind before anything else starts: an address in use is the commonest way to fail.

    Raises:
        StartupError: it cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # connections inherit it: what a slow client makes the kernel keep
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else "no such port"
        raise StartupError(
            f"Cannot listen on {host}:{port}: {reason}. Choose another with --host and --port."
        ) from error
    return listener


def announce(words: str, listener: socket.socket) -> None:
    """Print the one line that says where a command answers."""
    host, port = listener.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"{words} http://{host}:{port}\n")
    sys.stdout.flush()
