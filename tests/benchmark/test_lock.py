"""One process runs a benchmark in a folder; a second one is told which."""

import pytest

from trueward.benchmark import read_config, run_benchmark
from trueward.core.errors import TruewardError
from trueward.core.output_lock import only_writer


def test_a_second_run_in_a_folder_is_refused(tmp_path):
    config = read_config("quick")
    with only_writer(tmp_path / "runs"), pytest.raises(TruewardError, match="is being written by"):
        run_benchmark(config, tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []
