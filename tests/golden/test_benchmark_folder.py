"""The folder of a benchmark has the files, columns and numbers it had, and a begun one goes on."""

import shutil

import pytest
from golden import benchmarks
from golden.world import DATA, differences, read

WANTED = read("benchmark.json")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    place = tmp_path_factory.mktemp("benchmark")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUEWARD_CACHE", str(place / "cache"))
        said = benchmarks.run(place, place / "runs")
        yield place, place / "runs", said


def test_a_run_counts_its_jobs_as_it_did(ran):
    assert ran[2] == WANTED["said"]


def test_the_folder_says_the_same(ran):
    found, wanted = benchmarks.kept(ran[1]), WANTED["kept"]
    for k in ("about", "columns", "rows"):
        assert found[k] == wanted[k], k
    assert found["sets"].keys() == wanted["sets"].keys()


def test_the_measured_numbers_are_near(ran):
    """Another precision of products, as on processors with bf16, moves a third digit."""
    found, wanted = benchmarks.kept(ran[1])["metrics"], WANTED["kept"]["metrics"]
    wrong = differences(found, wanted, atol=0.03)
    assert not wrong, "\n".join(wrong)


def test_a_folder_that_was_begun_before_goes_on_with_nothing_left(ran, monkeypatch):
    """Where this machine draws the same set to the last bit, on which the keys of jobs depend."""
    place, folder, _ = ran
    monkeypatch.setenv("TRUEWARD_CACHE", str(place / "cache"))
    if benchmarks.kept(folder)["sets"] == WANTED["kept"]["sets"]:
        assert benchmarks.kept(folder)["keys"] == WANTED["kept"]["keys"]
        folder = place / "before"
        shutil.copytree(DATA / "benchmark_folder", folder)
    before = benchmarks.jobs(folder)
    said = benchmarks.run(place, folder)
    assert said == WANTED["said"]
    assert benchmarks.jobs(folder) == before


def test_the_tables_have_the_same_columns(ran, tmp_path):
    folder = tmp_path / "runs"
    shutil.copytree(ran[1], folder)
    assert benchmarks.tables(folder) == WANTED["tables"]
    shutil.rmtree(folder)
    shutil.copytree(DATA / "benchmark_folder", folder)
    assert benchmarks.tables(folder) == WANTED["tables"]
