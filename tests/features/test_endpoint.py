"""The endpoint backbone: batched requests, retries, and checks of the server's answers."""

import hashlib
import json
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from helpers.loopback import JsonAnswers, loopback_only, recorded_waits, running  # noqa: F401 - fixtures

import trueward as tw
from trueward.cli.app import main
from trueward.core.errors import TruewardError, UsageError
from trueward.features import backbone, endpoint, features, http_json, named_servers
from trueward.features.endpoint import ROWS

SECRET = "sk-very-secret"
TEXT = "the private words of a user"


class Server(ThreadingHTTPServer):
    """Embeds a text as 4 numbers from its hash; answers with the status codes in ``first`` first."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.first, self.change, self.models = [], [], lambda answer: answer, ["m"]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


def vector(text):
    return [b / 255 - 0.5 for b in hashlib.sha256(text.encode()).digest()[:4]]


class Handler(JsonAnswers, BaseHTTPRequestHandler):
    def do_GET(self):
        assert self.path == "/v1/models"
        self.answer(200, {"data": [{"id": name} for name in self.server.models]})

    def do_POST(self):
        assert self.path == "/v1/embeddings"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((body, self.headers.get("Authorization")))
        if self.server.first:
            code, headers = self.server.first.pop(0)
            if code == 0:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.answer(code, {"error": {"message": f"bad text: {body['input'][0]}"}}, headers)
            return
        rows = [
            {"index": i, "embedding": vector(text)[: body.get("dimensions", 4)]}
            for i, text in enumerate(body["input"])
        ]
        self.answer(200, self.server.change({"data": rows[::-1], "model": body["model"]}))


@pytest.fixture
def server():
    with running(Server()) as served:
        yield served


def test_each_row_is_the_embedding_of_its_own_text(server):
    model = backbone(f"{server.url},model=bge")
    n = ROWS + 3
    prompts, responses = [f"p{i}" for i in range(n)], [f"r{i} \ud800" for i in range(n)]
    x = model.encode(prompts, responses)
    assert x.dtype == torch.float16
    wanted = torch.tensor([vector(f"p{i}\n\nr{i} ?") for i in range(n)])
    assert torch.allclose(x.float(), wanted, atol=1e-3)
    assert [len(body["input"]) for body, _ in server.requests] == [1, ROWS, 3]
    assert {body["model"] for body, _ in server.requests} == {"bge"}


def test_long_texts_are_sent_in_smaller_requests(server):
    model = backbone(server.url)
    model.encode(["x" * 90_000] * 5, ["y"] * 5)
    assert [len(body["input"]) for body, _ in server.requests] == [1, 2, 2, 1]


def test_a_spec_recreates_the_backbone_without_a_request(server):
    model = backbone(f"{server.url}/embeddings,dimensions=3")
    spec = json.loads(model.spec())
    assert (spec["name"], spec["model"], spec["width"]) == ("endpoint", "m", 3)
    before = len(server.requests)
    recreated = backbone(model.spec())
    assert len(server.requests) == before
    assert recreated.spec() == model.spec()
    assert torch.equal(recreated.encode(["a"], ["b"]), model.encode(["a"], ["b"]))


def test_the_key_comes_from_the_environment_and_is_not_stored(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "for another server")
    assert backbone(server.url)
    assert server.requests[-1][1] is None
    monkeypatch.setenv("TRUEWARD_API_KEY", SECRET)
    model = backbone(server.url)
    assert server.requests[-1][1] == f"Bearer {SECRET}"
    assert SECRET not in model.spec()
    assert SECRET not in repr(model)


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504, 0])
def test_a_busy_server_is_retried_with_exponential_backoff(server, waits, code):
    model = backbone(server.url)
    server.first = [(code, {})] * 3
    assert model.encode(["a"], ["b"]).isfinite().all()
    for k, seconds in enumerate(waits):
        assert 0.25 * 2**k <= seconds <= 0.5 * 2**k
    assert len(waits) == 3


def test_retry_after_is_followed_within_bounds(server, waits):
    model = backbone(server.url)
    server.first = [(429, {"Retry-After": "7"}), (503, {"Retry-After": "9999"})]
    model.encode(["a"], ["b"])
    assert waits == [7, http_json.MAX_WAIT]


def test_the_tries_are_bounded_and_the_error_contains_no_text(server, waits, monkeypatch):
    monkeypatch.setenv("TRUEWARD_API_KEY", SECRET)
    model = backbone(server.url)
    server.first = [(503, {})] * 100
    with pytest.raises(
        TruewardError, match="did not answer in 7 tries, the last with HTTP 503"
    ) as e:
        model.encode([TEXT], [TEXT])
    assert len(waits) == http_json.TRIES - 1
    assert TEXT not in str(e.value)
    assert SECRET not in str(e.value)


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (400, TruewardError, "too long for its model"),
        (401, TruewardError, "set TRUEWARD_API_KEY"),
        (404, UsageError, "ends in /v1"),
        (302, TruewardError, "HTTP 302"),
        (418, TruewardError, "HTTP 418"),
    ],
)
def test_other_http_errors_are_not_retried(server, waits, code, kind, message):
    model = backbone(server.url)
    server.first = [(code, {"Location": "http://example.com/v1"})]
    with pytest.raises(kind, match=message) as e:
        model.encode([TEXT], [TEXT])
    assert waits == []
    assert TEXT not in str(e.value)


def test_an_unreachable_server_is_an_error(waits):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(TruewardError, match=r"did not answer in 7 tries.*refused"):
        backbone(f"http://127.0.0.1:{port}/v1,model=m")
    assert len(waits) == http_json.TRIES - 1


def fewer(answer):
    return {"data": answer["data"][:-1]}


def wider(answer):
    return {"data": [{**d, "embedding": [0.0] * 5} for d in answer["data"]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (fewer, "should answer with 3 embeddings, and answered with 2"),
        (wider, "embeddings of 4 and of 5 numbers"),
        (
            lambda a: {"data": [{**d, "embedding": "AAAA"} for d in a["data"]]},
            "none that can be read",
        ),
        (lambda a: {"error": "no"}, "none that can be read"),
        (lambda a: [1, 2], "none that can be read"),
        (lambda a: b"<html>", "an answer that is not JSON"),
    ],
)
def test_an_answer_of_another_shape_is_an_error(server, change, message):
    model = backbone(server.url)
    server.change = change
    with pytest.raises(TruewardError, match=message):
        model.encode([TEXT] * 3, ["a", "b", "c"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e9])
def test_an_embedding_that_is_not_finite_is_an_error_with_its_row(server, value):
    model = backbone(server.url)
    bad = f"{TEXT}\n\nbad"

    def poison(answer):
        for d in answer["data"]:
            d["embedding"] = [value] * 4 if d["embedding"] == vector(bad) else d["embedding"]
        return answer

    server.change = poison
    with pytest.raises(TruewardError, match=f"^row {ROWS + 2} has an embedding .* not finite") as e:
        features(model, [TEXT] * (ROWS + 2), ["good"] * (ROWS + 1) + ["bad"], None)
    assert TEXT not in str(e.value)


def test_the_model_is_optional_if_the_server_has_one(server):
    assert json.loads(backbone(server.url).spec())["model"] == "m"
    server.models = ["m", "n"]
    with pytest.raises(UsageError, match=r"serves 2 models \(m, n\): choose one"):
        backbone(server.url)


@pytest.mark.parametrize(
    "address", ["http://user:pass@127.0.0.1/v1", "http:///v1", "http://h/v1?key=a"]
)
def test_an_address_with_a_key_is_refused(address):
    with pytest.raises(UsageError, match="TRUEWARD_API_KEY"):
        backbone(address)


def spec_of(server, **changes):
    spec = {"name": "endpoint", "version": 1, "address": server.url, "model": "m", "width": 4}
    return json.dumps({**spec, "dimensions": None, **changes})


def test_texts_and_key_go_only_to_an_address_that_the_user_has_named(server, monkeypatch):
    """A model folder holds an address, and anyone can write one."""
    monkeypatch.setattr(named_servers, "ALLOWED", set())
    monkeypatch.setenv("TRUEWARD_API_KEY", SECRET)
    model = backbone(spec_of(server))
    with pytest.raises(UsageError, match=f"--allow-endpoint {server.url}") as refused:
        model.encode([TEXT], ["b"])
    assert TEXT not in str(refused.value)
    assert server.requests == []
    monkeypatch.setenv("TRUEWARD_ENDPOINT", "http://127.0.0.1:1/v1")
    with pytest.raises(UsageError, match="--allow-endpoint"):
        model.encode([TEXT], ["b"])
    monkeypatch.setenv("TRUEWARD_ENDPOINT", f"{server.url}/embeddings")
    model.encode([TEXT], ["b"])
    monkeypatch.delenv("TRUEWARD_ENDPOINT")
    tw.allow_endpoint(server.url)
    model.encode([TEXT], ["b"])
    assert [key for _, key in server.requests] == [f"Bearer {SECRET}"] * 2


def test_the_command_line_names_an_address_anywhere_in_the_line(server, monkeypatch, capsys):
    monkeypatch.setattr(named_servers, "ALLOWED", set())
    for words in (["--allow-endpoint", f"{server.url}/"], [f"--allow-endpoint={server.url}"]):
        named_servers.ALLOWED.clear()
        with pytest.raises(SystemExit) as stop:
            main(["methods", "naive", *words])
        assert not stop.value.code
        assert {server.url} == named_servers.ALLOWED
    with pytest.raises(SystemExit) as stop:
        main(["methods", "--allow-endpoint", "ftp://host"])
    assert stop.value.code == 2
    assert "http://HOST/v1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "changes",
    [
        {"address": "file:///etc/passwd"},
        {"address": "ftp://host/v1"},
        {"address": "http://user:word@host/v1"},
        {"address": "http://[::1/v1"},
        {"address": 3},
        {"address": None},
        {"model": []},
        {"width": -1},
        {"width": 10**9},
        {"width": "4"},
        {"dimensions": 1e400},
        {"version": None},
    ],
)
def test_a_description_that_no_server_has_is_refused(server, changes):
    with pytest.raises(TruewardError) as refused:
        backbone(spec_of(server, **changes))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("numbers", [(0, 0), (1, 2), (0, -1), (1, 1)])
def test_answers_that_number_rows_otherwise_are_refused(server, numbers):
    """A row must not get the embedding of another one."""
    model = backbone(server.url)

    def renumbered(answer):
        for item, number in zip(answer["data"], numbers, strict=False):
            item["index"] = number
        return answer

    server.change = renumbered
    with pytest.raises(TruewardError, match="numbered from 0"):
        model.encode(["a", "c"], ["b", "d"])


def test_an_answer_that_is_nested_without_end_is_told(server):
    model = backbone(server.url)
    server.change = lambda _answer: b"[" * 100_000
    with pytest.raises(TruewardError, match="not JSON"):
        model.encode(["a"], ["b"])


def test_an_answer_is_bounded_in_size_and_time(server, monkeypatch):
    model = backbone(server.url)
    monkeypatch.setattr(endpoint, "LARGEST", 1000)
    server.change = lambda _answer: b" " * 2000
    with pytest.raises(TruewardError, match="more than 1,256 bytes"):  # 1 text x 4 numbers x 64
        model.encode(["a"], ["b"])
    server.change = lambda answer: answer
    monkeypatch.setattr(http_json, "LONGEST", -1.0)
    with pytest.raises(TruewardError, match="did not answer in 7 tries"):
        model.encode(["a"], ["b"])
