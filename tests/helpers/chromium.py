"""Debian's Chromium, driven by selenium, for tests that open a page as a user does."""

import contextlib
import shutil
import socket

import pytest

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver"
)
CONNECT = socket.socket.connect


@pytest.fixture(autouse=True, name="no_network")
def driver_only(monkeypatch):
    """As everywhere, but for the driver on this machine."""

    def connect(own, address, *rest):
        assert address[0] in ("127.0.0.1", "localhost", "::1"), "a test tried to reach the network"
        return CONNECT(own, address, *rest)

    monkeypatch.setattr(socket.socket, "connect", connect)


@contextlib.contextmanager
def chromium(profile):
    """A browser without a window that logs what a page says and what it asks for."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--window-size=1100,900",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()
