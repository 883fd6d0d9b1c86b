"""Nothing here talks to anything but the loopback."""

import socket
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the stand-in of the Hub


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch):
    """No test here talks to anything but the stand-in."""
    real = socket.getaddrinfo

    def look_up(host, *arguments, **options):
        assert host in ("127.0.0.1", "localhost", None, ""), f"a test asked for {host}"
        return real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
