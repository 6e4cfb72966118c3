"""Scoring processes: what they answer, and what the server does when they end, hang or fail."""

import asyncio
import http.client
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from helpers import loopback
from helpers.serving import Server, restored_logging, texts

import trueward as tw
from trueward.core.errors import TruewardError
from trueward.estimators._registry import make
from trueward.features import backbone
from trueward.features.texts import HEAD, TAIL
from trueward.model.calibration import Calibration
from trueward.model.reward_model import RewardModel
from trueward.production.serving import scoring_process, worker
from trueward.production.serving.errors import MemoryShortError, RequestError, ScorerDiedError
from trueward.production.serving.frames import Text, columns
from trueward.production.serving.reading_limit import ReadingLimit
from trueward.production.serving.scoring_process import ScoringProcess, Start
from trueward.training.networks import Net, Shape
from trueward.training.preprocessing import Standardizer

no_network = loopback.loopback_only  # 127.0.0.1 only
STUB = (sys.executable, str(Path(__file__).parents[2] / "helpers" / "stub_worker.py"))


@pytest.fixture
def stubs(monkeypatch):
    """Scoring processes without a model, which start in a tenth of a second."""
    monkeypatch.setattr(scoring_process, "COMMAND", STUB)


def run(test):
    asyncio.run(asyncio.wait_for(test(), 20))


async def scored(process, *responses):
    return [
        a if isinstance(a, RequestError) else a.reward
        for a in await process.score(texts(*responses))
    ]


def test_a_process_answers_batches_and_errors_of_single_rows(stubs):
    async def test():
        process = ScoringProcess(Start("rm"))
        await process.start()
        assert process.about["name"] == "rm"
        assert await scored(process, "a", "bb") == [0.1, 0.2]
        first, long, nan = await scored(process, "a", "long", "nan")
        assert first == 0.1
        assert (long.code, nan.code) == (413, 500)
        assert "120 tokens" in long.message
        with pytest.raises(MemoryShortError):
            await process.score(texts("memory"))
        assert await scored(process, "\ud800\n\x00") == [0.3]
        pid = process.pid
        await process.end()
        assert process.pid is None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    run(test)


def test_a_process_that_ends_or_hangs_is_noticed_and_can_be_started_again(stubs):
    async def test():
        process = ScoringProcess(Start("rm", stall=0.3))
        await process.start()
        for order in ("crash", "hang"):
            with pytest.raises(ScorerDiedError):
                await process.score(texts(order))
            with pytest.raises(ScorerDiedError):
                await process.score(texts("a"))
            await process.start()
            assert await scored(process, "a") == [0.1]
        assert process.starts == 3
        await process.end()

    run(test)


def test_a_model_that_cannot_be_loaded_says_why(stubs):
    async def test():
        with pytest.raises(TruewardError, match="damaged is a damaged reward model"):
            await ScoringProcess(Start("damaged")).start()
        with pytest.raises(TruewardError, match="ended while it loaded crashing"):
            await ScoringProcess(Start("crashing")).start()

    run(test)


def test_no_request_is_lost_or_wrong_while_processes_are_killed(stubs):
    async def test():
        async with Server(ScoringProcess, batches={"batch_rows": 8}, stall=9) as server:
            lost, killed = [], []

            async def client(number):
                for i in range(25):
                    response = "x" * (number + i)
                    body = {"prompt": f"{number} {i}", "response": response}
                    reply = await server.ask("/v1/rewards", body)
                    right = (
                        reply.code == 200
                        and reply.json["rewards"][0]["reward"] == len(response) / 10
                    )
                    lost.extend([] if right else [(number, i, reply.body)])
                    if number == 0 and i % 6 == 5:
                        killed.append(server.scorer.pid)
                        os.kill(killed[-1], signal.SIGKILL)

            await asyncio.gather(*(client(n) for n in range(16)))
            assert not lost
            assert len(set(killed)) == 4
            assert server.scorer.starts == 5

    run(test)


def text_model(spec):
    """A calibrated model on the features of a backbone, with random weights."""
    width = backbone(spec).width
    scores, one = torch.linspace(0, 1, 99).double(), torch.ones(2).double()
    calibration = Calibration(
        "platt", torch.tensor([1.0, 0.1]), scores, label=(scores > 0.5).double(), class_mass=one
    )
    report = {"rows": {}, "rated": {}, "data": "", "training": {}, "nuisances": {}, "spread": {}}
    return RewardModel(
        estimator=make("naive", {}),
        net=Net(Shape({"x": width}, {"reward": "x"}, hidden=(8,)), 0),
        standardizer=Standardizer(torch.zeros(width), torch.full((width,), 5.0)),
        backbone=backbone(spec).spec(),
        card="# naive",
        report=report | {"warnings": []},
        calibration=calibration,
        ood_threshold=9.0,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A saved model on the default features."""
    path = tmp_path_factory.mktemp("served") / "rm"
    text_model("wordllama").save(path)
    return path


def answered(model, *rows):
    return worker.answered(model, ReadingLimit.of(model.backbone), columns(rows))


def test_a_process_gives_the_scores_of_the_model_whatever_else_is_in_the_batch(folder):
    model = tw.load(folder)
    rows = [
        Text(f"How do I undo step {i}?", "Press undo. " * (1 + 7 * i % 40), 0.9) for i in range(24)
    ]
    found = answered(model, *rows)
    expected = model.score([r.prompt for r in rows], [r.response for r in rows])
    for name in ("reward", "preferred", "spread", "out_of_distribution"):
        assert found[name] == getattr(expected, name).tolist()
    assert found["low"] == [None] * 24
    decided = model.calibration.decide(expected.preferred, 0.9).tolist()
    assert found["decision"] == [None if d < 0 else d for d in decided]
    alone = [answered(model, row)["reward"][0] for row in rows]
    sd = float(expected.reward.std())
    assert max(abs(a - b) for a, b in zip(alone, found["reward"], strict=True)) <= 1e-4 * sd


def test_rows_are_decided_at_the_level_of_their_own_request(folder):
    model = tw.load(folder)
    row = Text("How do I undo step 3?", "Press undo. ")
    levels = [(None, False), (0.5, False), (0.999, False), (0.5, True)]
    found = answered(model, *(row._replace(level=level, by_class=by) for level, by in levels))
    p = model.score([row.prompt], [row.response]).preferred
    expected = [
        None if level is None else model.calibration.decide(p, level, by_class=by).item()
        for level, by in levels
    ]
    assert found["decision"] == [None if d == -1 else d for d in expected]


def test_a_text_that_the_model_cannot_read_whole_is_refused_alone_or_truncated(folder):
    model = tw.load(folder)
    long = "x" * (HEAD + TAIL + 1)
    short = Text("a", "b")
    found = answered(
        model, short, Text("a", long), Text("a", long, truncate=True), short._replace(truncate=True)
    )
    assert found["too_long"] == [None, HEAD + TAIL + 1, None, None]
    assert found["truncated"] == [False, True, True, False]
    expected = model.score(["a"] * 3, ["b", long, "b"]).reward.tolist()
    assert found["reward"] == [expected[0], None, expected[1], expected[2]]
    assert answered(model, Text("a", long))["reward"] == [None]


def test_a_language_model_refuses_what_has_more_tokens_than_it_reads(tmp_path):
    from helpers import tiny

    model = text_model(f"{tiny.build('qwen3', tmp_path / 'lm')},max_length=40")
    words = "run git reset "
    rows = [Text("how do I undo", words * n, truncate=n == 9) for n in (1, 2, 8, 9)] + [
        Text("é", "é")
    ]
    found = answered(model, *rows)
    size = found["too_long"][2]
    assert [s is None for s in found["too_long"]] == [True, True, False, True, True]
    assert found["truncated"] == [False, False, True, True, False]
    assert size > 40
    kept = [r for i, r in enumerate(rows) if i != 2]
    expected = model.score([r.prompt for r in kept], [r.response for r in kept]).reward
    assert [r for r in found["reward"] if r is not None] == expected.tolist()


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (torch.OutOfMemoryError("x"), "memory"),
        (MemoryError(), "memory"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), "memory"),
        (TruewardError("one text of 9 tokens does not fit into the memory of cpu"), "memory"),
        (TruewardError("row 1 has activations that are not finite"), "text"),
        (ZeroDivisionError("a text"), "other"),
    ],
)
def test_the_kind_of_a_failure_is_told_and_no_text(folder, monkeypatch, problem, kind):
    model = tw.load(folder)

    def fails(*_):
        raise problem

    monkeypatch.setattr(type(model), "score", fails)
    found = answered(model, Text("a", "b"))
    assert found["kind"] == kind
    assert "a text" not in found["failed"]


class Client(threading.Thread):
    """Asks until it is told to stop; keeps the answers."""

    def __init__(self, port, number):
        super().__init__()
        self.port, self.number, self.replies, self.closed = port, number, [], False
        self.ends = time.monotonic() + 30

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        i = 0
        while time.monotonic() < self.ends:
            body = json.dumps(
                {"prompt": "How do I undo it?", "response": f"Press undo {self.number} {i}."}
            )
            try:
                connection.request("POST", "/v1/rewards", body)
                sent = True
                reply = connection.getresponse()
            except (ConnectionError, http.client.HTTPException):
                self.closed = True  # before the request was taken, as its answer would have come
                return
            self.replies.append(
                (json.loads(body)["response"], reply.status, json.loads(reply.read()))
            )
            i += sent


def test_the_command_serves_a_model_until_sigterm_and_answers_what_it_took(
    folder, capsys, monkeypatch
):
    from trueward.cli.app import main
    from trueward.production.serving import server

    port, clients, ready = [], [], threading.Event()
    bind = server.bound_socket

    def drive():
        try:
            deadline = time.monotonic() + 60
            while not ready.is_set() and time.monotonic() < deadline:
                time.sleep(0.05)
                connection = http.client.HTTPConnection("127.0.0.1", port[0], timeout=20)
                connection.request("GET", "/ready")
                if connection.getresponse().status == 200:
                    ready.set()
                connection.close()
            clients.extend(Client(port[0], n) for n in range(8))
            for client in clients:
                client.start()
            time.sleep(0.4)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    driver = threading.Thread(target=drive)

    def bound(host, number):
        own = bind(host, number)
        own.listen()
        port.append(own.getsockname()[1])
        driver.start()
        return own

    monkeypatch.setattr(server, "bound_socket", bound)
    with restored_logging(), pytest.raises(SystemExit) as stop:
        main(["serve", str(folder), "--port", "0", "--log-level", "error"])
    driver.join()
    for client in clients:
        client.join()
    shown = capsys.readouterr()
    assert (stop.value.code or 0) == 0, shown.err
    assert f"is served at http://127.0.0.1:{port[0]}" in shown.out
    assert ready.is_set()
    replies = [reply for client in clients for reply in client.replies]
    assert len(replies) > 8
    model = tw.load(folder)
    expected = model.score(
        ["How do I undo it?"] * len(replies), [r for r, _, _ in replies]
    ).reward.tolist()
    assert [code for _, code, _ in replies] == [200] * len(replies)
    found = [body["rewards"][0]["reward"] for _, _, body in replies]
    assert found == pytest.approx(expected, abs=1e-5)
    assert all(client.closed for client in clients)
    assert "Traceback" not in shown.err
