"""Fixtures for tests that talk to a server of their own on the loopback."""

import socket

import pytest

from trueward.features import asking


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """This machine's own loopback only."""
    connect = socket.socket.connect

    def local(self, address):
        if self.family != socket.AF_INET or address[0] != "127.0.0.1":
            raise AssertionError("a test tried to reach the network")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The seconds that would be waited."""
    seconds = []
    monkeypatch.setattr(asking.time, "sleep", seconds.append)
    return seconds
