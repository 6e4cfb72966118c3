"""A table is scored in parts: stopped runs continue, processes share the work, the bytes are the same."""

import json
import os
import threading
import time

import polars as pl
import pytest
import torch

import trueward as tw
from trueward.core import work_parts
from trueward.core.errors import TruewardError
from trueward.core.work_parts import WorkParts
from trueward.data import pair_table
from trueward.model.score_file import score_file

N = 10


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    rows = {
        "prompt": [f"question {i // 2}" for i in range(120)],
        "response": [f"answer {i}" for i in range(120)],
        "feedback": [(1.0, 0.0, None)[i % 3] for i in range(120)],
    }
    data = tw.encode(tw.read_log(pl.DataFrame(rows)), cache=False)
    folder = tmp_path_factory.mktemp("scores") / "rm"
    tw.fit("naive", *data.split(0.3), epochs=1).save(folder)
    return folder


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setattr(pair_table, "ROWS", 4)
    path = tmp_path / "texts.parquet"
    rows = {"q": [f"new {i}" for i in range(N)], "response": [f"text {i}" for i in range(N)]}
    user = [None] * 8 + ["u", "v"]  # the first parts have no user at all
    pl.DataFrame(rows | {"user_id": user}).write_parquet(path, row_group_size=3)
    return path


NAMES = {"prompt": "q"}


def test_parts_give_the_scores_of_the_whole_table(model, table, tmp_path):
    found = score_file(model, table, tmp_path / "out.parquet", mapping=NAMES)
    assert (found.rows, found.parts) == (N, 3)
    scored = pl.read_parquet(tmp_path / "out.parquet")
    texts = pl.read_parquet(table)
    expected = tw.load(model).score(texts["q"].to_list(), texts["response"].to_list())
    torch.testing.assert_close(torch.tensor(scored["reward"].to_list()), expected.reward)
    assert scored["user_id"].to_list() == texts["user_id"].to_list()
    assert not (tmp_path / "out.parquet.parts").exists()


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".csv"])
def test_a_stopped_run_continues_and_gives_the_same_bytes(model, table, tmp_path, ending):
    whole, out = tmp_path / f"whole{ending}", tmp_path / f"out{ending}"
    score_file(model, table, whole, mapping=NAMES)

    def stop(done, _of):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_file(model, table, out, mapping=NAMES, progress=stop)
    assert not out.exists()
    assert score_file(model, table, out, mapping=NAMES).parts == 1
    assert out.read_bytes() == whole.read_bytes()


def test_two_processes_share_the_parts_and_give_the_same_bytes(model, table, tmp_path, monkeypatch):
    monkeypatch.setattr(work_parts, "PAUSE", 0.01)
    whole, out = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    score_file(model, table, whole, mapping=NAMES)
    found = []

    def work():
        found.append(score_file(model, table, out, mapping=NAMES, queue=True))

    workers = [threading.Thread(target=work) for _ in range(2)]
    [w.start() for w in workers]
    [w.join() for w in workers]
    assert sum(f.parts for f in found) == 3
    assert [f.rows for f in found] == [N, N]
    assert out.read_bytes() == whole.read_bytes()
    late = score_file(model, table, out, mapping=NAMES, queue=True)
    assert (late.rows, late.parts) == (N, 0)


def test_parts_of_other_work_are_refused_and_kept(model, table, tmp_path):
    parts = tmp_path / "out.parquet.parts"
    WorkParts.open(parts, 3, ".parquet", {"model": "another"})
    with pytest.raises(TruewardError, match="holds parts of other work"):
        score_file(model, table, tmp_path / "out.parquet", mapping=NAMES)
    assert (parts / "parts.json").exists()


def parts_of(tmp_path):
    return WorkParts.open(tmp_path / "parts", 2, ".txt", {"what": "test"})


def write(part, path):
    path.write_text(str(part))


def test_the_part_of_a_dead_process_is_taken_over(tmp_path, monkeypatch):
    work = parts_of(tmp_path)
    lease = work.folder / "000000.lease"
    dead = {"pid": 2**30, "host": os.uname().nodename, "started": "x", "since": "", "command": ""}
    lease.write_text(json.dumps(dead))
    (work.folder / "000001.lease").write_text(json.dumps(dead | {"host": "elsewhere"}))
    os.utime(work.folder / "000001.lease", (time.time() - 2 * work_parts.STALE,) * 2)
    assert work.run(write, lambda _: None) == 2
    assert [work.path(i).read_text() for i in range(2)] == ["0", "1"]


def test_a_part_that_somebody_works_on_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(work_parts, "PAUSE", 0.01)
    work = parts_of(tmp_path)
    lease = work.folder / "000000.lease"
    lease.write_text(
        json.dumps({"pid": 1, "host": "elsewhere", "started": "", "since": "", "command": ""})
    )
    counts = []

    def each(n):
        counts.append(n)
        if n == 1:  # the other process gives up
            os.utime(lease, (0, 0))

    assert work.run(write, each) == 2
    assert counts == [0, 1, 2]


def test_a_damaged_part_is_made_again(tmp_path):
    work = parts_of(tmp_path)
    work.run(write, lambda _: None)
    work.path(1).write_text("damaged")
    assert not work.done(1)
    assert work.run(write, lambda _: None) == 1
    assert work.path(1).read_text() == "1"


def test_a_row_without_text_is_named_by_its_part(model, tmp_path, monkeypatch):
    monkeypatch.setattr(pair_table, "ROWS", 4)
    path = tmp_path / "texts.parquet"
    pl.DataFrame({"prompt": ["a"] * 10, "response": [*"bcdefgh", None, *"ij"]}).write_parquet(path)
    with pytest.raises(TruewardError, match=r"response.*rows 5 to 8 of"):
        score_file(model, path, tmp_path / "out.parquet")
