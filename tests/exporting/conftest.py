"""One log for all exports."""

import pytest


@pytest.fixture(scope="module")
def table():
    return pytest.importorskip("helpers.language_logs").log()


@pytest.fixture(scope="module")
def texts(table):
    return table.frame["prompt"].to_list(), table.frame["response"].to_list()
