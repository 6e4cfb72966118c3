"""Two processes on CPUs: sums, broadcasts, and one error for both."""

import pytest
import torch
from helpers.forks import Fork

from trueward.core.processes import SINGLE_PROCESS, Processes, launched_processes

SCRIPT = """
import os, sys, torch
from datetime import timedelta
from trueward.core.errors import TruewardError, UsageError
from trueward.core.processes import Processes
rank = int(sys.argv[1])
torch.distributed.init_process_group(
    "gloo", f"file://{sys.argv[2]}", timedelta(seconds=60), world_size=2, rank=rank
)
team = Processes(rank, 2, torch.device("cpu"))
"""
SUMS = """
whole, half = torch.full((3, 2), rank + 1.0), torch.ones(4, dtype=torch.float64) / 2
team.all_reduce([whole, half])
assert (whole == 3).all() and (half == 1).all()
assert team.broadcast_tensor(torch.tensor([rank + 5])).item() == 5
assert team.broadcast({"a": 1} if team.main else None) == {"a": 1}
assert team.shard(list(range(5))) == [[0, 2, 4], [1, 3]][rank]
"""
FAILS = """
try:
    with team.raise_together():
        if rank == 1:
            raise ERROR
        team.broadcast(1)
except TruewardError as e:
    assert type(e) is KIND and "gone wrong" in str(e), repr(e)
except ValueError:
    assert rank == 1
else:
    raise AssertionError("no error")
assert team.failed
"""


def both(tmp_path, body):
    script = tmp_path / "two.py"
    script.write_text(SCRIPT + body + "torch.distributed.destroy_process_group()\n")
    runs = [Fork(script, [rank, tmp_path / "meeting"], tmp_path / str(rank)) for rank in (0, 1)]
    ended = [run.end() for run in runs]
    assert [code for code, _, _ in ended] == [0, 0], ended


def test_one_process_needs_no_exchange(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert launched_processes() is SINGLE_PROCESS
    assert SINGLE_PROCESS.main
    numbers = torch.ones(2)
    SINGLE_PROCESS.all_reduce([numbers])
    assert SINGLE_PROCESS.broadcast_tensor(numbers) is numbers
    assert SINGLE_PROCESS.broadcast("a") == "a"
    assert SINGLE_PROCESS.shard([1, 2]) == [1, 2]
    with pytest.raises(KeyError), SINGLE_PROCESS.raise_together():
        raise KeyError


def test_shards_are_a_partition():
    rows = torch.arange(7)
    parts = [Processes(index, 3).shard(rows) for index in range(3)]
    assert sorted(torch.cat(parts).tolist()) == rows.tolist()


@pytest.mark.slow
def test_two_processes_sum_and_broadcast(tmp_path):
    both(tmp_path, SUMS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("UsageError('gone wrong')", "UsageError"),
        ("ValueError('gone wrong')", "TruewardError"),
    ],
)
def test_an_error_of_one_process_is_raised_in_both(error, kind, tmp_path):
    both(tmp_path, FAILS.replace("ERROR", error).replace("KIND", kind))
