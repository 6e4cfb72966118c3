"""A real Ray cluster with two processors on this machine: killed actors and workers change no byte."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import polars as pl
import pytest
import torch

import trueward as tw
from trueward.benchmark import read_config, run_benchmark
from trueward.core.errors import TruewardError
from trueward.core.ray_cluster import Cluster
from trueward.features import backbone, cached_in, fill
from trueward.fitting.sweep import FitJob, fit_many
from trueward.model.score_file import score_file

pytest.importorskip("ray", reason="needs the extra trueward[scale], which the extra dev leaves out")
pytestmark = [pytest.mark.battery, pytest.mark.filterwarnings("default")]

N = 70_000


@pytest.fixture(scope="module", autouse=True)
def ray(tmp_path_factory):
    """One cluster for all tests of this file, whose actors find the library where this process does."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    paths = [str(Path(tw.__file__).parents[1]), *os.environ.get("PYTHONPATH", "").split(":")]
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": ":".join(paths)}},
    )  # fmt: skip
    yield ray
    ray.shutdown()


@pytest.fixture(autouse=True)
def no_network():
    """Let Ray talk to its own processes."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ray")
    rows = {
        "prompt": [f"question {i // 4} of {i % 97}" for i in range(N)],
        "response": [f"answer {i} " + "word " * (i % 23) for i in range(N)],
        "feedback": [(1.0, 0.0, None, None)[i % 4] for i in range(N)],
    }
    pl.DataFrame(rows).write_parquet(folder / "log.parquet", row_group_size=20_000)
    data = tw.encode(tw.read_log(pl.read_parquet(folder / "log.parquet")[:2000]), cache=False)
    tw.fit("naive", *data.split(0.3), epochs=1).save(folder / "rm")
    return folder


def kill_when(find):
    """Kill the process that `find` returns, as soon as it returns one; return what was killed."""
    killed = []

    def watch():
        end = time.monotonic() + 120
        while not killed and time.monotonic() < end:
            if pid := find():
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            time.sleep(0.02)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return killed


def named(word):
    """Return the process whose title Ray has set to what it runs."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(word):
                return int(path.parent.name)
        except OSError:
            continue
    return None


def owner_of_a_lease(parts):
    for lease in parts.glob("*.lease"):
        try:
            return int(json.loads(lease.read_text())["pid"])
        except (OSError, ValueError):
            continue
    return None


def test_scores_survive_a_killed_actor_and_have_the_bytes_of_one_process(folder, tmp_path):
    alone, out = tmp_path / "alone.parquet", tmp_path / "out.parquet"
    score_file(folder / "rm", folder / "log.parquet", alone)
    killed = kill_when(lambda: owner_of_a_lease(tmp_path / "out.parquet.parts"))
    found = score_file(folder / "rm", folder / "log.parquet", out, ray=Cluster())
    assert killed
    assert found.rows == N
    assert out.read_bytes() == alone.read_bytes()


def test_features_survive_a_killed_actor_and_are_those_of_one_process(folder, tmp_path):
    frame, model = pl.read_parquet(folder / "log.parquet")[:8_000], backbone("wordllama")
    texts = frame["prompt"].to_list(), frame["response"].to_list()
    fill(model, *texts, cached_in(tmp_path / "alone"))

    def second():
        return named(b"ray::MapWorker") if any((tmp_path / "ray").rglob("*.safetensors")) else None

    killed = kill_when(second)
    found = fill(model, *texts, cached_in(tmp_path / "ray"), ray=Cluster())
    assert killed
    assert found.rows == 8_000
    digests = [
        {p.name: p.read_bytes() for p in (tmp_path / name).rglob("*.safetensors")}
        for name in ("alone", "ray")
    ]
    assert digests[0] == digests[1]


CONFIG = """
name: small
sets: [{name: synthetic, rows: 3000}]
mechanisms: [rating, {name: implicit, noise: none}]
alpha: 0.5
rate: 0.5
methods: [naive, snips, ips]
seeds: [0, 1]
allow_few_seeds: true
budget: {epochs: 4, folds: 2, nuisance_epochs: 2}
"""


def test_a_benchmark_survives_a_killed_worker_and_has_the_same_rows(tmp_path):
    (tmp_path / "small.yaml").write_text(CONFIG)
    config = read_config(tmp_path / "small.yaml")
    alone = run_benchmark(config, tmp_path / "alone", processes=2)
    killed = kill_when(lambda: named(b"ray::called"))
    found = run_benchmark(config, tmp_path / "ray", ray=Cluster())
    assert killed
    rows = [
        sorted(
            ({k: v for k, v in row.items() if k != "seconds"} for row in outcome.rows),
            key=lambda row: row["key"],
        )
        for outcome in (alone, found)
    ]
    assert rows[0] == rows[1]


def test_fits_in_workers_are_those_of_this_process(folder):
    data = tw.encode(tw.read_log(pl.read_parquet(folder / "log.parquet")[:2000]), cache=False)
    jobs = [FitJob(name, *data.split(0.3), seed) for name in ("naive", "ips") for seed in (0, 1)]
    alone = fit_many(jobs, epochs=1)
    found = fit_many(jobs, ray=Cluster(), epochs=1)
    for a, b in zip(alone, found, strict=True):
        torch.testing.assert_close(a.score_features(data.x).reward, b.score_features(data.x).reward)


def test_columns_of_a_dataset_are_those_of_the_library(ray, folder, tmp_path):
    import ray.data

    from trueward import scale

    texts = pl.read_parquet(folder / "log.parquet")[:1500].rename({"prompt": "q"})
    dataset = ray.data.from_arrow(texts.to_arrow())
    scored = scale.score(dataset, folder / "rm", mapping={"prompt": "q"}, actors=1)
    scored.write_parquet(str(tmp_path / "scored"))
    found = pl.read_parquet(tmp_path / "scored" / "*.parquet").sort("response")
    texts = texts.sort("response")
    wanted = tw.load(folder / "rm").score(texts["q"].to_list(), texts["response"].to_list())
    torch.testing.assert_close(torch.tensor(found["reward"].to_list()), wanted.reward)
    encoded = scale.encode(dataset.limit(5), mapping={"prompt": "q"}, actors=1).take_all()
    model = backbone("wordllama")
    for row in encoded:
        expected = model.encode([row["q"]], [row["response"]])[0]
        assert torch.equal(torch.tensor(row["features"], dtype=torch.float16), expected)
    digests = [
        row["text_digest"] for row in scale.text_digests(dataset, mapping={"prompt": "q"}).take(9)
    ]
    assert len(set(digests)) == 9


def test_the_error_of_a_row_is_one_sentence_and_the_other_parts_are_kept(folder, tmp_path):
    frame = pl.read_parquet(folder / "log.parquet")[:70_000]
    rows = frame.with_row_index().with_columns(
        pl.when(pl.col("index") == 40_000).then(None).otherwise("response").alias("response")
    )
    rows.drop("index").write_parquet(tmp_path / "log.parquet", row_group_size=20_000)
    with pytest.raises(TruewardError, match=r"response.*rows 32,769 to 65,536"):
        score_file(folder / "rm", tmp_path / "log.parquet", tmp_path / "out.parquet", ray=Cluster())
    assert (tmp_path / "out.parquet.parts" / "parts.json").exists()


def test_a_cluster_that_is_not_there_is_one_sentence(monkeypatch, ray):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(TruewardError, match=r"no Ray cluster answers at 127.0.0.1:1 "):
        list(Cluster("127.0.0.1:1").results(int, [1]))
