"""Fixtures for tests with a server of their own on the loopback interface."""

import socket

import pytest

from trueward.features import http_json


@pytest.fixture(autouse=True, name="no_network")
def loopback_only(monkeypatch):
    """Allow connections to 127.0.0.1 only, without proxies and keys of the environment."""
    connect = socket.socket.connect

    def connect_locally(self, address):
        if self.family != socket.AF_INET or address[0] != "127.0.0.1":
            raise AssertionError("a test tried to reach the network")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_locally)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True, name="waits")
def recorded_waits(monkeypatch):
    """Record the seconds before each retry in place of waiting."""
    seconds = []
    monkeypatch.setattr(http_json.time, "sleep", seconds.append)
    return seconds
