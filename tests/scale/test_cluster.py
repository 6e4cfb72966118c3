"""Work on a Ray cluster, with a stand-in for Ray: what commands ask of it, and what they say."""

import json
import socket

import polars as pl
import pytest
import torch
from helpers import fake_ray
from helpers.commands import run

import trueward as tw
from trueward.benchmark import read_config, run_benchmark
from trueward.cli.clusters import with_address
from trueward.core import ray_actors
from trueward.core.errors import TruewardError, UsageError
from trueward.core.ray_cluster import Cluster
from trueward.data import pair_table
from trueward.features.cache import default_cache_folder
from trueward.fitting.sweep import FitJob, fit_many

N = 60


@pytest.fixture
def ray(monkeypatch):
    return fake_ray.install(monkeypatch)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ray")
    rows = {
        "prompt": [f"question {i // 2}" for i in range(N)],
        "response": [f"answer {i}" for i in range(N)],
        "feedback": [(1.0, 0.0, None)[i % 3] for i in range(N)],
    }
    pl.DataFrame(rows).write_parquet(folder / "log.parquet")
    data = tw.encode(tw.read_log(folder / "log.parquet"), cache=False)
    tw.fit("naive", *data.split(0.3), epochs=1).save(folder / "rm")
    return folder


def test_scores_of_actors_have_the_bytes_of_one_process(ray, model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pair_table, "ROWS", 16)
    words = ["score", str(model / "rm"), str(model / "log.parquet"), "--out"]
    alone, out = tmp_path / "alone.parquet", tmp_path / "out.parquet"
    assert run([*words, str(alone)], capsys)[0] == 0
    code, said, _ = run([*words, str(out), "--ray"], capsys)
    assert (code, said) == (0, f"{out}: {N} rows scored\n")
    assert out.read_bytes() == alone.read_bytes()
    assert ray.pools[0]["compute"] == {"min_size": 1, "max_size": 4, "initial_size": 2}
    assert not ray.begun  # the local cluster is stopped


def test_finished_parts_are_not_scored_again(ray, model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pair_table, "ROWS", 16)
    words = [
        "score",
        str(model / "rm"),
        str(model / "log.parquet"),
        "--out",
        str(tmp_path / "out.parquet"),
    ]
    results = Cluster.results

    def stopped(self, begin, items):
        for k, result in enumerate(results(self, begin, items)):
            yield result
            if k == 1:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Cluster, "results", stopped)
        code, _, said = run([*words, "--ray"], capsys)
    assert code == 130
    assert "run the same command to continue" in said
    assert run([*words, "--ray"], capsys)[0] == 0
    assert ray.pools[-1]["compute"]["max_size"] == 2


def test_features_of_actors_are_those_of_one_process(ray, model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("trueward.features.encoding.BLOCK", 16)
    assert run(["encode", str(model / "log.parquet")], capsys)[0] == 0
    alone = {p.name: p.read_bytes() for p in default_cache_folder().rglob("*.safetensors")}
    monkeypatch.setenv("TRUEWARD_CACHE", str(tmp_path / "cluster"))
    words = ["encode", str(model / "log.parquet"), "--ray", "--json"]
    assert json.loads(run(words, capsys)[1])["made"] == 4
    assert {p.name: p.read_bytes() for p in default_cache_folder().rglob("*.safetensors")} == alone
    again = json.loads(run(words, capsys)[1])
    assert (again["made"], again["there"], again["rows"]) == (0, 4, N)


def test_fits_of_a_cluster_are_those_of_one_process(ray, model):
    data = tw.encode(tw.read_log(model / "log.parquet"))
    jobs = [FitJob(name, *data.split(0.3), seed) for name in ("naive", "ips") for seed in (0, 1)]
    alone = fit_many(jobs, epochs=1)
    found = fit_many(jobs, ray="local", epochs=1)
    for a, b in zip(alone, found, strict=True):
        assert a.report["training"]["seed"] == b.report["training"]["seed"]
        torch.testing.assert_close(a.score_features(data.x).reward, b.score_features(data.x).reward)


CONFIG = """
name: small
sets: [{name: synthetic, rows: 400}]
mechanisms: [rating]
alpha: 0.5
rate: 0.5
methods: [naive, snips]
seeds: [0, 1]
allow_few_seeds: true
budget: {epochs: 2, folds: 2, nuisance_epochs: 1}
"""


def rows_of(outcome):
    return sorted(
        ({k: v for k, v in row.items() if k != "seconds"} for row in outcome.rows),
        key=lambda row: row["key"],
    )


def test_jobs_whose_process_died_are_repeated_one_by_one_with_the_same_rows(ray, tmp_path):
    (tmp_path / "small.yaml").write_text(CONFIG)
    config = read_config(tmp_path / "small.yaml")
    together = run_benchmark(config, tmp_path / "together", ray="local")
    ray.deaths = 1  # of a unit with several jobs, which are then run one by one
    apart = run_benchmark(config, tmp_path / "apart", ray="local")
    assert rows_of(apart) == rows_of(together)
    assert together.count("done") == together.jobs == 8  # with the oracle and its clean share


def test_a_job_whose_process_dies_each_time_is_a_failed_row(ray, tmp_path):
    (tmp_path / "small.yaml").write_text(CONFIG.replace("[0, 1]", "[0]").replace(", snips", ""))
    ray.deaths = 1
    found = run_benchmark(read_config(tmp_path / "small.yaml"), tmp_path / "runs", ray="local")
    (failed,) = [row for row in found.rows if row["status"] == "failed"]
    assert "too little memory" in failed["reason"]


def work():
    def square(item):
        if item == 3:
            raise UsageError("three is refused")
        return item * item

    return square


def test_the_error_of_an_item_follows_the_results_before_it(ray):
    results = Cluster().results(work, [1, 2, 3, 4])
    assert [next(results), next(results)] == [1, 4]
    with pytest.raises(UsageError, match="three is refused"):
        next(results)


def test_an_item_that_kills_its_process_again_and_again_is_given_up(ray):
    attempts = ray.remote(ray_actors.Attempts).remote()
    for _ in range(4):
        attempts.begun.remote(7)
    packed = ray_actors.Actor(tw.__version__, work, attempts)({"number": [7], "item": ["1"]})
    with pytest.raises(TruewardError, match=r"ended 4 times at the same work.*parts are kept"):
        ray_actors.result_of(json.loads(packed["result"][0]))


def test_a_node_with_another_version_is_refused(ray):
    attempts = ray.remote(ray_actors.Attempts).remote()
    packed = ray_actors.Actor("0.0.1", work, attempts)({"number": [0], "item": ["1"]})
    with pytest.raises(
        TruewardError, match=rf"has trueward {tw.__version__}, and the command 0.0.1"
    ):
        ray_actors.result_of(json.loads(packed["result"][0]))


def test_without_ray_the_extra_is_named(model, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    code, _, said = run(["encode", str(model / "log.parquet"), "--ray"], capsys)
    assert (code, said) == (
        1,
        "error: --ray needs ray, which is not installed: pip install 'trueward[scale]'\n",
    )


@pytest.fixture
def closed_port(monkeypatch):
    monkeypatch.undo()  # the loopback interface is no network
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_an_address_that_does_not_answer_is_one_sentence(closed_port, monkeypatch):
    fake_ray.install(monkeypatch)
    with pytest.raises(TruewardError, match=rf"no Ray cluster answers at 127.0.0.1:{closed_port}"):
        list(Cluster(f"127.0.0.1:{closed_port}").results(work, [1]))


@pytest.mark.parametrize("address", ["http://head", "head", "ray://", "head:port"])
def test_a_word_that_is_no_address_is_refused(ray, address):
    with pytest.raises(UsageError, match="takes local, auto, HOST:PORT"):
        list(Cluster(address).results(work, [1]))


def test_gpus_that_a_machine_lacks_are_refused(ray):
    with pytest.raises(TruewardError, match="Ray finds 0 on this machine"):
        list(Cluster(num_gpus=1).results(work, [1]))
    with pytest.raises(UsageError, match="0 or more"):
        Cluster(num_gpus=-1)


def test_actors_that_share_a_gpu(monkeypatch):
    ray = fake_ray.install(monkeypatch, GPU=2.0)
    assert list(Cluster(num_gpus=0.5).results(work, [1, 2])) == [1, 4]
    assert ray.pools[0]["num_gpus"] == 0.5
    assert Cluster(num_gpus=0.5).slots() == 4


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["encode", "--ray", "log.parquet"], ["encode", "--ray=local", "log.parquet"]),
        (["encode", "log.parquet", "--ray"], ["encode", "log.parquet", "--ray=local"]),
        (["score", "--ray", "head:6379", "rm"], ["score", "--ray", "head:6379", "rm"]),
        (["score", "--ray", "ray://h:1"], ["score", "--ray", "ray://h:1"]),
        (["score", "--ray", "s3://bucket/a"], ["score", "--ray=local", "s3://bucket/a"]),
        (["score", "--ray", "--queue"], ["score", "--ray=local", "--queue"]),
    ],
)
def test_ray_alone_is_a_cluster_on_this_machine(given, read):
    assert with_address(given) == read


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ray", "--queue"], "--ray and --queue are two ways to share the work"),
        (["--num-gpus", "1"], "give --ray, too"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(model, capsys, words, said):
    code, _, error = run(["encode", str(model / "log.parquet"), *words], capsys)
    assert code == 2
    assert said in error
