"""A file or folder is replaced as a whole or not at all."""

import os

import pytest

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
