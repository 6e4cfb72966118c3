"""One process writes a target at a time; what a dead process left is taken over."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from trueward.core import output_lock
from trueward.core.errors import NotWrittenError, TruewardError
from trueward.core.output_lock import Owner, lock_of, only_writer

NO_PROCESS = 2**22 + 1  # beyond the largest number of a process on Linux


@pytest.fixture(params=["locks of the system", "owners"])
def target(request, tmp_path, monkeypatch):
    """A target, also where the system has no locks."""
    if request.param == "owners":
        monkeypatch.setattr(output_lock, "fcntl", None)
    return tmp_path / "rm"


def left_by(target, **changes):
    """Write the lock that a process left."""
    owner = dataclasses.replace(Owner.this_process(), **changes)
    lock_of(target).write_text(json.dumps(dataclasses.asdict(owner)))


def test_a_second_writer_is_refused_with_the_owner_and_a_later_one_is_not(target):
    with only_writer(target):
        owner = Owner.parse(lock_of(target).read_text())
        assert owner == dataclasses.replace(Owner.this_process(), since=owner.since)
        with (
            pytest.raises(TruewardError, match="is being written by this process already"),
            only_writer(target),
        ):
            pass
        with only_writer(target.with_name("another")):
            pass
    assert list(target.parent.iterdir()) == []
    with only_writer(target):
        pass


def test_a_living_process_is_named(target):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        left_by(
            target, pid=other.pid, started=output_lock._started(other.pid), command="trueward fit"
        )
        owner = Owner.parse(lock_of(target).read_text())
        assert owner.alive() is True
        if output_lock.fcntl is None:
            with pytest.raises(
                TruewardError, match=rf"process {other.pid} on .* \(trueward fit\): wait"
            ):
                only_writer(target).__enter__()
        other.communicate(b"\n")
    assert owner.alive() is False
    with only_writer(target):
        pass


@pytest.mark.parametrize(
    "changes",
    [{"pid": NO_PROCESS}, {"started": "another boot:1"}, {"pid": NO_PROCESS, "started": ""}],
    ids=["dead", "number used again", "dead, start unknown"],
)
def test_a_stale_lock_is_taken_over(target, changes):
    left_by(target, **changes)
    with only_writer(target):
        assert Owner.parse(lock_of(target).read_text()).pid == os.getpid()


def test_an_owner_on_another_machine_is_believed_and_the_lock_named(tmp_path, monkeypatch):
    monkeypatch.setattr(output_lock, "fcntl", None)
    left_by(tmp_path / "rm", host="elsewhere")
    with (
        pytest.raises(
            TruewardError, match=r"on elsewhere since .*, or delete .*\.rm\.trueward-lock if"
        ),
        only_writer(tmp_path / "rm"),
    ):
        pass


@pytest.mark.parametrize("text", ["", "{", "[" * 5000, "[]", '{"pid": 1e999}', '{"pid": 1}', "\0"])
def test_a_damaged_lock_that_nobody_holds_is_taken_over_where_the_system_has_locks(tmp_path, text):
    lock_of(tmp_path / "rm").write_text(text)
    with only_writer(tmp_path / "rm"):
        pass


def test_folders_made_for_the_lock_alone_go_with_it(tmp_path):
    with only_writer(tmp_path / "a" / "b" / "rm"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with only_writer(tmp_path / "a" / "b" / "rm"):
        (tmp_path / "a" / "b" / "rm").mkdir()
    assert (tmp_path / "a" / "b" / "rm").is_dir()


def test_a_place_where_nothing_can_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for target in (tmp_path / "file" / "rm", "/"):
        with pytest.raises(NotWrittenError, match="could not be written"), only_writer(target):
            pass


def test_locks_of_killed_processes_are_removed_and_held_ones_are_not(tmp_path):
    for name in ("dead", "held", "young"):
        lock_of(tmp_path / name).write_text("{}")
    for name in ("dead", "held"):
        os.utime(lock_of(tmp_path / name), (0, 0))
    with only_writer(tmp_path / "held"):
        os.utime(lock_of(tmp_path / "held"), (0, 0))
        with only_writer(tmp_path / "another"):
            assert lock_of(tmp_path / "held").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".young.trueward-lock"]
