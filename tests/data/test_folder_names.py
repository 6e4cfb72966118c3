"""The JSON of a data set's folder names files of that folder only."""

import json

import polars as pl
import pyarrow as pa
import pytest

from trueward.core.errors import TruewardError
from trueward.data.log_reading import read_log

ROWS = {"prompt": ["a", "b"], "response": ["c", "d"], "feedback": [1.0, 0.0]}


def arrow(path):
    table = pl.DataFrame(ROWS).to_arrow()
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    arrow(tmp_path / "other.arrow")
    arrow(folder / "data.arrow")
    return folder


def test_the_files_of_a_state_are_read(folder):
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    assert len(read_log(folder)) == 2


@pytest.mark.parametrize(
    "name", ["../other.arrow", "{}/other.arrow", "a/../../other.arrow", "..", 7]
)
@pytest.mark.parametrize("file", ["state.json", "dataset_dict.json"])
def test_a_file_outside_of_the_folder_is_not_read(folder, tmp_path, file, name):
    name = name.format(tmp_path) if isinstance(name, str) else name
    entries = {"_data_files": [{"filename": name}], "splits": [name]}
    (folder / file).write_text(json.dumps(entries))
    with pytest.raises(TruewardError, match="should name files in it, but its JSON names"):
        read_log(folder)


@pytest.mark.parametrize(
    "content", ["[" * 5000, '{"_data_files": [null]}', '{"_data_files": ["a"]}']
)
def test_a_damaged_state_is_one_sentence(folder, content):
    (folder / "state.json").write_text(content)
    with pytest.raises(TruewardError, match="set"):
        read_log(folder)
