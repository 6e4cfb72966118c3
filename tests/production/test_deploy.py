"""The files of `deploy/`: each parses, and each command of trueward in them is one that the parser takes."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import typer.main
import yaml
from helpers import postgres

from trueward.cli import pipelining
from trueward.cli.app import app
from trueward.cli.clusters import with_address
from trueward.production.pipeline import read_pipeline

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
GROUP = typer.main.get_command(app)
NEEDED = ("responses.sql", "events.sql", "gold.parquet", "exports", "test.parquet")


def documents(name):
    return [d for d in yaml.safe_load_all((DEPLOY / name).read_text("utf-8")) if d]


def compose():
    return documents("compose/compose.yaml")[0]


def containers():
    """The containers of every workload of the manifests."""
    for name in ("server", "retrain", "score-job"):
        for document in documents(f"kubernetes/{name}.yaml"):
            spec = document.get("spec", {})
            spec = spec.get("jobTemplate", {}).get("spec", spec).get("template", {}).get("spec", {})
            yield from spec.get("containers", ())


def command_lines():
    """Every command line of trueward in the files, by where it stands."""
    for name, service in compose()["services"].items():
        if service["image"] == "trueward":
            yield f"compose {name}", service["command"]
    for container in containers():
        yield f"kubernetes {container['name']}", container["args"]
    for unit in sorted((DEPLOY / "systemd").glob("*.service")):
        (line,) = re.findall(r"^ExecStart=(.+)$", unit.read_text(), re.MULTILINE)
        program, *words = shlex.split(line)
        assert Path(program).name == "trueward"
        yield unit.name, words
    for script in sorted((DEPLOY / "slurm").iterdir()):
        (line,) = re.findall(r"^srun (.+)$", script.read_text(), re.MULTILINE)
        yield f"slurm {script.name}", shlex.split(line)[1:]
    ray = documents("ray/score-job.yaml")[0]["spec"]["entrypoint"]
    yield "ray", with_address(shlex.split(ray)[1:])
    (words,) = re.findall(r"^CMD (\[.+\])$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    yield "Dockerfile", json.loads(words)
    for job in documents("github/retrain.yaml")[0]["jobs"].values():
        for step in job["steps"]:
            if step.get("run", "").startswith("trueward "):
                yield "github", shlex.split(step["run"])[1:]


LINES = list(command_lines())


@pytest.mark.parametrize("words", [w for _, w in LINES], ids=[n for n, _ in LINES])
def test_the_parser_takes_every_command(words):
    if words[0] == "serve" and "serve" not in GROUP.commands:
        pytest.skip("this version has no server")
    values = GROUP.commands[words[0]].make_context(words[0], list(words[1:])).params
    assert values


def test_every_way_to_deploy_runs_both_commands():
    places = {(name.split()[0], words[0]) for name, words in LINES}
    for place in ("compose", "kubernetes"):
        assert {(place, "serve"), (place, "pipeline")} <= places
    assert ("trueward.service", "serve") in places
    assert ("trueward-retrain.service", "pipeline") in places


def pipelines():
    yield "nightly.yaml", (DEPLOY / "nightly.yaml").read_text()
    config = next(d for d in documents("kubernetes/retrain.yaml") if d["kind"] == "ConfigMap")
    yield "kubernetes", config["data"]["nightly.yaml"]
    pages = (ROOT / "docs" / "pipeline.md").read_text()
    yield "docs/pipeline.md", re.findall(r"```yaml\n(.+?)```", pages, re.DOTALL)[0]


@pytest.mark.parametrize(("name", "text"), list(pipelines()))
def test_every_pipeline_is_one_that_runs(name, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for needed in NEEDED:
        Path(needed).touch()
    Path("run.yaml").write_text(text.replace("/etc/trueward/", ""))
    steps = read_pipeline("run.yaml", lambda w, o: pipelining._parsed(GROUP, w, o)).steps
    kinds = [s.line.words[0] if s.kind == "run" else s.kind for s in steps]
    assert kinds == ["import", "fit", "evaluate", "export", "promote", "reload"]
    assert steps[2].fail_if
    assert steps[2].current == "live/rm"


def test_manifests_run_as_no_root_and_write_to_their_volumes_only():
    for container in containers():
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
    for name, service in compose()["services"].items():
        if service["image"] == "trueward":
            assert service["read_only"], name
    assert "USER 10001" in (DEPLOY / "Dockerfile").read_text()


def test_the_nodes_of_a_ray_cluster_are_alike_and_see_one_volume():
    spec = documents("ray/score-job.yaml")[0]["spec"]["rayClusterSpec"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    assert len({pod["containers"][0]["image"] for pod in pods}) == 1
    assert {pod["containers"][0]["volumeMounts"][0]["mountPath"] for pod in pods} == {"/data"}
    version = (DEPLOY / "ray" / "Dockerfile").read_text().partition("rayproject/ray:")[2]
    assert version.startswith(spec["rayVersion"])


def test_probes_and_metrics_are_routes_of_the_server():
    (server,) = [c for c in containers() if c["name"] == "server"]
    paths = {server[f"{k}Probe"]["httpGet"]["path"] for k in ("startup", "readiness", "liveness")}
    assert paths == {"/ready", "/health"}
    if "serve" in GROUP.commands:
        source = (Path(pipelining.__file__).parents[1] / "production").rglob("*.py")
        code = "".join(f.read_text() for f in source)
        assert all(f'"{path}"' in code for path in (*paths, "/metrics", "/admin/reload"))


def test_the_queries_of_kubernetes_are_those_of_the_folder():
    config = next(d for d in documents("kubernetes/retrain.yaml") if d["kind"] == "ConfigMap")
    for name in ("responses.sql", "events.sql"):
        assert config["data"][name] == (DEPLOY / "sql" / name).read_text()


def test_every_file_that_the_image_and_the_services_name_is_there():
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for line in re.findall(
        r"^COPY (?!--from)(.+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE
    ):
        for word in [w for w in line.split()[:-1] if not w.startswith("--")]:
            assert (ROOT / word).exists(), word
            assert f"!{word}" in kept, word
    for service in compose()["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (DEPLOY / "compose" / source).exists(), source


def test_the_schedule_runs_again_after_a_failure_and_ends_at_once(tmp_path):
    script = [DEPLOY / "compose" / "every.sh", "0", "sh", "-c", f"echo x >>{tmp_path}/ran; exit 3"]
    process = subprocess.Popen(script, stderr=subprocess.DEVNULL)
    ran = tmp_path / "ran"
    for _ in range(200):
        if ran.exists() and len(ran.read_text().split()) >= 3:
            break
        threading.Event().wait(0.01)
    process.terminate()
    assert process.wait(10) == 0
    assert len(ran.read_text().split()) >= 3


@pytest.mark.battery
def test_the_steps_of_the_image_run_in_a_fresh_environment(tmp_path):
    """With torch from the usual index; the server of the CPU wheels may be out of reach."""
    venv = tmp_path / "trueward"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    said = subprocess.run(
        [DEPLOY / "install.sh", venv, "cpu", "sql"],
        env=kept | {"TORCH_CPU_INDEX": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"\d+\.\d+\.\d+", said.stdout.strip().splitlines()[-1])
    demo = [venv / "bin" / "trueward", "demo", "--out", "demo.html"]
    subprocess.run(demo, cwd=tmp_path, env=kept, capture_output=True, check=True)
    assert (tmp_path / "demo.html").stat().st_size > 10_000


def fill(connection, frame):
    """Write a log into the tables of the schema."""
    with connection.cursor() as cursor:
        for statement in (DEPLOY / "sql" / "schema.sql").read_text().split(";"):
            if "CREATE" in statement:
                cursor.execute(statement)
        for n, row in enumerate(frame.iter_rows(named=True)):
            cursor.execute(
                "INSERT INTO responses (response_id, prompt, response) VALUES ($1, $2, $3)",
                (str(n), row["prompt"], row["response"]),
            )
            if n % 2:
                channel = "thumbs_up" if row["rating"] > 2 else "thumbs_down"
                cursor.execute(
                    "INSERT INTO events (response_id, channel) VALUES ($1, $2)", (str(n), channel)
                )
    connection.commit()


@pytest.mark.battery
def test_the_nightly_pipeline_promotes_from_postgresql_and_refuses_a_worse_model(
    tmp_path, monkeypatch
):
    from trueward.simulation.helpdesk import helpdesk

    if postgres.programs() is None:
        pytest.skip("no PostgreSQL here: Debian has it as the package postgresql")
    dbapi = pytest.importorskip("adbc_driver_postgresql.dbapi")
    monkeypatch.chdir(tmp_path)
    for name in ("responses.sql", "events.sql"):
        shutil.copy(DEPLOY / "sql" / name, name)
    steps = (DEPLOY / "nightly.yaml").read_text()
    Path("nightly.yaml").write_text(steps.replace("- reload: http://server:8000", ""))
    frame = helpdesk(300)
    gold = frame.select("prompt", "response", gold=(frame["rating"] > 2).cast(float))
    gold.sample(300, seed=0).write_parquet("gold.parquet")
    run = [sys.executable, "-m", "trueward", "pipeline", "nightly.yaml", "--json"]
    with postgres.server() as address:
        uri = f"postgresql://boss:{postgres.SPELLED}@{address}/postgres"
        monkeypatch.setenv("TRUEWARD_DATABASE", uri)
        with dbapi.connect(uri) as connection:
            fill(connection, frame)
        first = subprocess.run(run, check=False, capture_output=True)
        assert first.returncode == 0, first.stderr.decode()
        assert {s["status"] for s in json.loads(first.stdout)["steps"]} == {"ran"}
        again = json.loads(subprocess.run(run, check=True, capture_output=True).stdout)
        assert [s["status"] for s in again["steps"]] == ["ran", *["skipped"] * 4]
        with dbapi.connect(uri) as connection, connection.cursor() as cursor:
            cursor.execute(  # thumbs mean the opposite from now on
                "UPDATE events SET channel = "
                "CASE channel WHEN 'thumbs_up' THEN 'thumbs_down' ELSE 'thumbs_up' END"
            )
            connection.commit()
        worse = subprocess.run(run, check=False, capture_output=True)
    assert worse.returncode == 3, worse.stderr.decode()
    assert json.loads(worse.stdout)["result"] == "refused"
