"""Scores are written to products that speak their documented APIs, once, and to named servers only."""

import base64
import dataclasses
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import polars as pl
import pytest
from helpers.commands import ROWS, run, table
from helpers.loopback import JsonAnswers, loopback_only, recorded_waits, running  # noqa: F401 - fixtures

import trueward as tw
from trueward.cli.app import main

SECRET = "sk-very-secret"
N = 12
VARIABLES = (
    "LANGFUSE_BASE_URL", "LANGFUSE_HOST", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY",
    "PHOENIX_COLLECTOR_ENDPOINT", "PHOENIX_BASE_URL", "PHOENIX_API_KEY", "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD",
)  # fmt: skip


class Products(ThreadingHTTPServer):
    """Langfuse, Phoenix and MLflow in one: ids that begin with lost are unknown, those with bad refused."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.scores, self.requests, self.first = {}, [], []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(JsonAnswers, BaseHTTPRequestHandler):
    def do_GET(self):
        name = unquote(self.path.rpartition("/")[2])
        self.note(None)
        if name.startswith("lost"):
            self.answer(404, {"message": "not found"})
        elif self.path.startswith("/api/public/observations/"):
            self.answer(200, {"id": name, "traceId": f"trace-of-{name}"})
        elif self.path.startswith("/api/3.0/mlflow/traces/"):
            there = [a for (trace, *_), a in self.server.scores.items() if trace == name]
            self.answer(200, {"trace": {"trace_info": {"trace_id": name, "assessments": there}}})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.note(body)
        if self.server.first:
            code, headers = self.server.first.pop(0)
            self.answer(code, {"message": "busy"}, headers)
        elif self.path == "/api/public/ingestion":
            self.langfuse(body["batch"])
        elif self.path == "/v1/span_annotations?sync=true":
            self.phoenix(body["data"])
        else:
            self.mlflow(body["assessment"])

    def langfuse(self, events):
        good, bad = [], []
        for event in events:
            made = event["body"]
            assert event["type"] == "score-create"
            assert {"id", "traceId", "name", "value", "dataType", "metadata"} <= set(made)
            if made.get("observationId", "").startswith("bad"):
                bad.append({"id": event["id"], "status": 400, "message": "invalid"})
                continue
            self.server.scores[made["id"]] = made
            good.append({"id": event["id"], "status": 201})
        self.answer(207, {"successes": good, "errors": bad})

    def phoenix(self, notes):
        if any(note["span_id"].startswith("lost") for note in notes):
            self.answer(404, {"detail": "Spans do not exist"})
            return
        for note in notes:
            key = (note["span_id"], note["name"], note["identifier"])
            self.server.scores[key] = note
        self.answer(200, {"data": [{"id": str(i)} for i in range(len(notes))]})

    def mlflow(self, made):
        assert unquote(self.path) == f"/api/3.0/mlflow/traces/{made['trace_id']}/assessments"
        key = (made["trace_id"], made["assessment_name"], len(self.server.scores))
        self.server.scores[key] = made
        self.answer(200, {"assessment": {**made, "assessment_id": "a-1"}})

    def note(self, body):
        self.server.requests.append((self.path, body, self.headers.get("Authorization")))


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with running(Products()) as served:
        yield served


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model, and logs of three products."""
    folder = tmp_path_factory.mktemp("push")
    log = table(folder / "log.parquet")
    with pytest.raises(SystemExit):
        main(["fit", "naive", log, "--epochs", "1", "--out", str(folder / "rm")])
    short = {k: v[:N] for k, v in ROWS.items()}
    for product in ("langfuse", "phoenix", "mlflow"):
        ids = [f"{product}:id {i}" for i in range(N)]
        pl.DataFrame(short | {"response_id": ids}).write_parquet(folder / f"{product}.parquet")
    return folder


def command(place, product, *more):
    return ["push", product, str(place / "rm"), str(place / f"{product}.parquet"), *more]


def kept(server):
    """Name of a score -> value of the first response."""
    if not server.scores:
        return {}
    first = [s for s in server.scores.values() if "id 0" in json.dumps(s)]
    name = "assessment_name" if "assessment_name" in first[0] else "name"
    return {
        s[name]: s.get("value", (s.get("result") or s.get("feedback") or {}).get("score"))
        or s["feedback"]["value"]
        for s in first
    }


@pytest.mark.parametrize("product", ["langfuse", "phoenix", "mlflow"])
def test_every_response_has_its_scores_once_however_often_they_are_pushed(
    place, server, capsys, product
):
    for _ in range(2):
        code, out, err = run(command(place, product, "--address", server.url), capsys)
        assert (code, err) == (0, "")
        assert f"has the scores of {N} of {N} responses" in out
        assert len(server.scores) == 2 * N
    scores = tw.load(place / "rm").score([ROWS["prompt"][0]], [ROWS["response"][0]])
    found = kept(server)
    assert found["trueward.preferred"] == pytest.approx(float(scores.preferred[0]))
    assert found["trueward.reward"] == pytest.approx(float(scores.reward[0]))
    sent = json.dumps([body for _, body, _ in server.requests])
    assert not [t for t in (*ROWS["prompt"][:N], *ROWS["response"][:N]) if t in sent]


def test_another_model_writes_scores_of_its_own(place, server, tmp_path):
    dataclasses.replace(tw.load(place / "rm"), card="another").save(tmp_path / "rm")
    for model in (place / "rm", tmp_path / "rm"):
        tw.push(model, place / "phoenix.parquet", "phoenix", address=server.url)
    assert len(server.scores) == 4 * N


def test_the_trace_of_an_observation_is_that_of_the_log_or_looked_up(place, server, capsys):
    run(command(place, "langfuse", "--address", server.url), capsys)
    body = next(iter(server.scores.values()))
    assert (body["observationId"], body["traceId"]) == ("id 0", "trace-of-id 0")
    frame = pl.read_parquet(place / "langfuse.parquet").with_columns(
        trace_id=pl.lit("t-1"), time=pl.lit("2026-01-05T10:00:00+01:00")
    )
    frame = frame.with_columns(
        response_id=pl.Series(
            [f"langfuse:trace:t-{i}" for i in range(6)] + frame["response_id"][6:].to_list()
        )
    )
    server.requests.clear()
    tw.push(place / "rm", frame, "langfuse", address=server.url)
    ((path, sent, _),) = server.requests
    assert path == "/api/public/ingestion"
    assert {e["timestamp"] for e in sent["batch"]} == {"2026-01-05T09:00:00.000Z"}
    bodies = [e["body"] for e in sent["batch"]]
    assert (bodies[2]["traceId"], bodies[2].get("observationId")) == ("t-1", None)
    assert (bodies[-1]["traceId"], bodies[-1]["observationId"]) == ("t-1", "id 11")


def test_a_dry_run_sends_nothing_and_shows_the_first_payloads(place, server, capsys, tmp_path):
    done = tmp_path / "done"
    words = ("--address", server.url, "--dry-run", "--resume", str(done))
    code, out, _ = run(command(place, "mlflow", *words), capsys)
    assert code == 0
    assert f"would send the scores of {N} responses" in out
    assert '"assessment_name": "trueward.reward"' in out
    assert not server.requests
    assert not done.exists()


@pytest.mark.parametrize("product", ["langfuse", "phoenix", "mlflow"])
def test_unknown_responses_are_counted_and_the_others_sent(place, server, product, capsys):
    frame = pl.read_parquet(place / f"{product}.parquet")
    ids = frame["response_id"].to_list()
    ids[3], ids[7] = f"{product}:lost", None
    found = tw.push(
        place / "rm", frame.with_columns(response_id=pl.Series(ids)), product, address=server.url
    )
    assert (found.accepted, found.missing) == (N - 2, ["lost"])
    assert "1 rows have no response_id" in str(found)
    lost = frame.with_columns(response_id=pl.format("lost {}", pl.int_range(pl.len())))
    lost.write_parquet(place / "lost.parquet")
    code, _, err = run(
        ["push", product, str(place / "rm"), str(place / "lost.parquet"), "--address", server.url],
        capsys,
    )
    assert code == 1
    assert f"knows none of {N} responses, the first lost 0" in err


def test_refused_scores_end_with_an_error_after_the_others_are_sent(place, server, capsys):
    frame = pl.read_parquet(place / "langfuse.parquet")
    ids = ["langfuse:bad", *frame["response_id"][1:]]
    frame.with_columns(response_id=pl.Series(ids)).write_parquet(place / "refused.parquet")
    line = ["push", "langfuse", str(place / "rm"), str(place / "refused.parquet")]
    code, out, err = run([*line, "--address", server.url], capsys)
    assert code == 1
    assert "1 were refused, the first bad: HTTP 400" in out
    assert "1 of 12 responses were refused" in err
    assert len(server.scores) == 2 * (N - 1)


def test_a_busy_server_is_waited_for_as_long_as_it_says(place, server, waits, capsys):
    server.first = [(429, {"Retry-After": "7"}), (503, {})]
    code, _, _ = run(command(place, "phoenix", "--address", server.url), capsys)
    assert code == 0
    assert waits[0] == 7
    assert len(server.scores) == 2 * N


def test_an_interrupted_push_is_resumed_where_it_ended(place, server, capsys, tmp_path):
    done = tmp_path / "done"
    words = ("--address", server.url, "--resume", str(done))
    server.first = [(401, {})]
    code, _, err = run(command(place, "mlflow", *words), capsys)
    assert code == 1
    assert "MLFLOW_TRACKING_TOKEN" in err
    assert "0 of 12 responses have their scores: run the same command again" in err
    run(command(place, "mlflow", *words), capsys)
    server.requests.clear()
    code, out, _ = run(command(place, "mlflow", *words), capsys)
    assert code == 0
    assert not server.requests
    assert "12 were sent by an earlier run" in out
    code, _, err = run(command(place, "phoenix", *words), capsys)
    assert code == 2
    assert "to another server" in err


def test_keys_come_from_the_environment_and_reach_the_named_server_only(
    place, server, monkeypatch, capsys
):
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk")
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", SECRET)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRET)
    _, out, err = run(command(place, "langfuse", "--address", server.url), capsys)
    assert {key for *_, key in server.requests} == {
        "Basic " + base64.b64encode(f"pk:{SECRET}".encode()).decode()
    }
    server.requests.clear()
    _, more, _ = run(command(place, "mlflow"), capsys)
    assert {key for *_, key in server.requests} == {f"Bearer {SECRET}"}
    assert SECRET not in out + err + more


def test_ids_with_control_characters_and_slashes_stay_one_part_of_the_path(place, server, capsys):
    frame = pl.read_parquet(place / "mlflow.parquet")[:1]
    frame = frame.with_columns(response_id=pl.lit("mlflow:../a\x1b[31m?x"))
    frame.write_parquet(place / "odd.parquet")
    code, out, _ = run(
        [
            "push",
            "mlflow",
            str(place / "rm"),
            str(place / "odd.parquet"),
            "--address",
            server.url,
            "--dry-run",
        ],
        capsys,
    )
    assert code == 0
    assert "\x1b" not in out
    tw.push(place / "rm", frame, "mlflow", address=server.url)
    assert unquote(urlsplit(server.requests[0][0]).path).endswith("/traces/../a\x1b[31m?x")
    assert "\x1b" not in server.requests[0][0]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            [],
            2,
            "name the server of Phoenix: --address https://HOST, or PHOENIX_COLLECTOR_ENDPOINT",
        ),
        (["--address", "ftp://x"], 2, "should be http://HOST or https://HOST"),
        (["--address", "https://me:key@x"], 2, "without a key in it"),
        (["--address", "http://127.0.0.1:1", "--map", "response_id=none"], 2, "none"),
    ],
)
def test_a_wrong_request_is_one_sentence(place, capsys, words, code, said):
    found, out, err = run(command(place, "phoenix", *words), capsys)
    assert (found, out) == (code, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_log_without_ids_or_of_another_product_is_refused(place, capsys):
    line = ["push", "phoenix", str(place / "rm")]
    address = ["--address", "http://127.0.0.1:1"]
    code, _, err = run([*line, str(place / "log.parquet"), *address], capsys)
    assert code == 2
    assert "push the log that `trueward import` wrote, or write --map response_id=NAME" in err
    code, _, err = run([*line, str(place / "mlflow.parquet"), *address], capsys)
    assert code == 1
    assert "12 ids" in err
    assert "begin with mlflow: and not with phoenix:" in err
