"""What every test shares: no network, one thread, small worlds with known truth."""

import os
import socket

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    connect = socket.socket.connect

    def connect_to_a_process(self, address):
        if self.family != socket.AF_UNIX:
            raise AssertionError("a test tried to reach the network")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_to_a_process)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("TRUEWARD_CACHE", str(tmp_path_factory.mktemp("cache")))


#: Files whose tests take many seconds, the longest first: started first, two processes end together.
LONGEST = ()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    rank = {name: k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.nodeid.split("::")[0], len(rank)))
