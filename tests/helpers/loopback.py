"""Fixtures for tests with a server of their own on the loopback interface."""

import contextlib
import json
import socket
import threading

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


class JsonAnswers:
    """Part of a request handler: answers in JSON, and writes no log."""

    def log_message(self, *_):
        pass

    def answer(self, code, content, headers=()):
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


@contextlib.contextmanager
def running(server):
    """Serve requests in a thread while the block runs."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
