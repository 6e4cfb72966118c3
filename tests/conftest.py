"""What every test shares: no network, one thread, small worlds with known truth."""

import logging
import os
import socket

import pytest
import torch

from trueward.core.wording import flags_in_messages

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


@pytest.fixture(autouse=True)
def usual_width(monkeypatch):
    """Lines are as wide as without a terminal, whatever the shell says."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(autouse=True)
def flags_in_errors():
    """Read messages as the command line prints them; `test_wording` reads them as Python does."""
    with flags_in_messages():
        yield


@pytest.fixture(autouse=True)
def own_log_level():
    """Restore the level of the library's log: a script that silences it silences no later test."""
    log = logging.getLogger("trueward")
    level = log.level
    yield
    log.setLevel(level)


# files that take ten seconds and more, the longest first: begun first, so that two processes end together
LONGEST = (
    "tests/cli/test_cli.py",
    "tests/fitting/test_processes.py",
    "tests/estimators/test_recovery_noise.py",
    "tests/benchmark/test_benchmark.py",
    "tests/refutation/test_refute.py",
    "tests/model/test_composed_model.py",
    "tests/estimation/test_gold_regression.py",
    "tests/reporting/test_report.py",
    "tests/cli/test_doubt_commands.py",
    "tests/estimators/test_recovery.py",
    "tests/evaluation/test_audit.py",
    "tests/training/test_loop.py",
    "tests/estimators/test_recovery_pu.py",
    "tests/importers/test_user_ids.py",
    "tests/exporting/test_export.py",
    "tests/exporting/test_export_served.py",
    "tests/exporting/test_export_folders.py",
    "tests/exporting/test_export_code.py",
    "tests/evaluation/test_sensitivity.py",
    "tests/fitting/test_finetune_limits.py",
    "tests/fitting/test_sweep.py",
    "tests/importers/test_import_scale.py",
    "tests/golden/test_fits.py",
    "tests/test_docstrings.py",
    "tests/data/test_queries.py",
    "tests/estimators/test_methods.py",
    "tests/estimation/test_label_shift.py",
    "tests/estimation/test_contract.py",
    "tests/estimation/test_unbiased.py",
    "tests/benchmark/test_gpu_script.py",
    "tests/reporting/test_report_browser.py",
    "tests/rlhf/test_align.py",
    "tests/golden/test_exports.py",
    "tests/rlhf/test_rlhf_truth.py",
    "tests/importers/test_product_trees.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    rank = {name: k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.nodeid.split("::")[0], len(rank)))


@pytest.fixture
def tracked_runs(monkeypatch):
    """Accelerate with the trackers `kept` and `broken`; give the runs of `kept`."""
    from helpers import trackers

    for kind in (trackers.Kept, trackers.Broken):
        monkeypatch.setitem(trackers.tracking.LOGGER_TYPE_TO_CLASS, kind.name, kind)
        monkeypatch.setattr(kind, "runs", [])
    return trackers.Kept.runs
