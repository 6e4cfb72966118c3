"""A file or folder is replaced as a whole or not at all."""

import gc
import os
import sys

import pytest

from trueward.core import atomic_io, scratch_folder
from trueward.core.atomic_io import replacing
from trueward.core.errors import NotWrittenError


def test_a_file_is_replaced_on_success_and_kept_on_failure(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("one")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_bytes(bytes(1 // 0))
    assert path.read_text() == "one"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "model"
    for name in ("old", "new"):
        with replacing(path) as temporary:
            temporary.mkdir()
            (temporary / name).write_text(name)
    assert [p.name for p in path.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_an_error_of_the_system_names_path_and_reason(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWrittenError, match="file"), replacing(tmp_path / "file" / "a"):
        pass
    full = r"a could not be written \(No space left"
    with pytest.raises(NotWrittenError, match=full), replacing(tmp_path / "a"):
        raise OSError(28, os.strerror(28))
    assert not (tmp_path / "a").exists()


def test_files_have_the_modes_that_the_umask_gives(tmp_path):
    with replacing(tmp_path / "model") as temporary:
        temporary.mkdir(mode=0o700)
        (temporary / "weights").touch(mode=0o600)
    plain, folder = tmp_path / "plain", tmp_path / "folder"
    plain.touch()
    folder.mkdir()
    assert (tmp_path / "model").stat().st_mode == folder.stat().st_mode
    assert (tmp_path / "model" / "weights").stat().st_mode == plain.stat().st_mode


def test_a_folder_named_like_a_part_of_the_scratch_folder_is_replaced(tmp_path):
    path = tmp_path / "old"
    for name in ("one", "two"):
        with replacing(path) as temporary:
            temporary.mkdir()
            (temporary / name).touch()
    assert [p.name for p in path.iterdir()] == ["two"]


def interrupted_at(instruction, path):
    """Replace a folder, and raise KeyboardInterrupt at the given instruction of ``replacing``."""
    count = 0

    def trace(frame, event, _argument):
        nonlocal count
        if frame.f_code.co_filename != atomic_io.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
            if count == instruction:
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        with replacing(path) as temporary:
            temporary.mkdir()
            (temporary / "new").touch()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.parametrize("exchange", [True, False])
def test_an_interrupt_at_any_instruction_loses_nothing(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(atomic_io, "_exchange", lambda *_: False)
    monkeypatch.setattr(scratch_folder, "YOUNGEST", -1.0)
    kinds, instruction = set(), 0
    interrupted = True
    while interrupted:
        instruction += 1
        path = tmp_path / f"{instruction}" / "model"
        path.mkdir(parents=True)
        (path / "old").touch()
        interrupted = interrupted_at(instruction, path)
        if not path.exists():  # what a killed process leaves is put back by the next run
            gc.collect()
            scratch_folder._swept.clear()
            scratch_folder.sweep(path.parent)
        [name] = [p.name for p in path.iterdir()]
        kinds.add(name)
    assert instruction > 100
    assert kinds == {"old", "new"}


@pytest.mark.parametrize("place", ["_locked", "shutil.rmtree"])
def test_an_interrupt_while_the_scratch_folder_is_made_or_removed_leaves_none(
    tmp_path, monkeypatch, place
):
    owner = scratch_folder.shutil if place == "shutil.rmtree" else scratch_folder
    name = place.rpartition(".")[2]
    real, interrupts = getattr(owner, name), [KeyboardInterrupt]

    def interrupted(*arguments, **options):
        if interrupts:
            raise interrupts.pop()
        return real(*arguments, **options)

    scratch_folder.sweep(tmp_path)  # which locks what others left
    monkeypatch.setattr(owner, name, interrupted)
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "table") as temporary:
        temporary.touch()
    assert [p.name for p in tmp_path.iterdir()] in ([], ["table"])


def test_a_later_run_removes_what_a_killed_one_left_and_no_other_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch_folder, "YOUNGEST", -1.0)
    dead, alive = (tmp_path / f".model.trueward-{name}" for name in ("0123abcd", "4567efgh"))
    for folder in (dead, alive, tmp_path / ".model.original"):
        folder.mkdir()
    held = scratch_folder._locked(alive)
    with replacing(tmp_path / "table") as temporary:
        temporary.touch()
    os.close(held)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".model.original", alive.name, "table"]
