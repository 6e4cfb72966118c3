"""A model as the first annotator: pinned prompt, cost first, resumable, off-format counted, never gold."""

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars as pl
import pytest
from helpers.commands import run
from helpers.loopback import JsonAnswers, loopback_only, recorded_waits, running  # noqa: F401 - fixtures

import trueward as tw
from trueward.core.errors import TruewardError, UsageError
from trueward.evaluation.judge.journal import Journal
from trueward.evaluation.judge.model import INSTRUCTIONS
from trueward.features import named_servers

SECRET = "sk-very-secret"


class Server(ThreadingHTTPServer):
    """Says GOOD of even numbers and BAD of odd ones; ``special`` answers by number, ``codes`` come first."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.codes, self.special, self.change = [], [], {}, lambda answer: answer
        self.refused = set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def numbers(self):
        return sorted(number(body) for body, _ in self.requests)


def number(body):
    return int(re.search(r"undo (\d+) times", body["messages"][1]["content"])[1])


class Handler(JsonAnswers, BaseHTTPRequestHandler):
    def do_POST(self):
        assert self.path == "/v1/chat/completions"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((body, self.headers.get("Authorization")))
        n = number(body)
        if self.server.codes:
            return self.answer(self.server.codes.pop(0), {})
        if n in self.server.refused:
            return self.answer(400, {})
        text = self.server.special.get(n, "BAD" if n % 2 else "GOOD")
        choice = {"index": 0, "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 100, "completion_tokens": 2}
        return self.answer(200, self.server.change({"choices": [choice], "usage": usage}))


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(named_servers, "ALLOWED", set())
    with running(Server()) as served:
        yield served


def rows(n=8):
    texts = {"prompt": ["How?"] * n, "response": [f"Press undo {i} times." for i in range(n)]}
    return pl.DataFrame(texts)


def test_every_response_is_asked_about_once_at_temperature_zero_with_the_pinned_prompt(server):
    judge = tw.Judge.of(f"{server.url}/chat/completions", "m")
    found = tw.judge_responses(pl.concat([rows(), rows()]), judge)
    assert found.frame["judge"].to_list() == [1.0, 0.0] * 4
    assert server.numbers() == list(range(8))
    for body, _ in server.requests:
        assert (body["model"], body["temperature"]) == ("m", 0)
        assert body["messages"][0] == {"role": "system", "content": INSTRUCTIONS}
        assert "<conversation>\nHow?\n</conversation>" in body["messages"][1]["content"]
    assert found.tokens == (800, 16)
    assert set(found.frame["judge_prompt"]) == {judge.prompt_hash}


def test_the_digest_of_the_prompt_changes_with_the_guideline(server):
    plain = tw.Judge.of(server.url, "m")
    own = tw.Judge.of(server.url, "m", "GOOD is short.")
    assert plain.prompt_hash != own.prompt_hash
    assert own.instructions.endswith("Answer with one word, GOOD or BAD.")
    assert own.key("a", "b") != plain.key("a", "b")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("good", 1.0),
        (" **BAD**.\n", 0.0),
        ("<think>is it bad?\nno</think>\nGOOD", 1.0),
        ("", None),
        (None, None),
        ("GOOD or BAD", None),
        ("The response is good.", None),
    ],
)
def test_an_answer_off_format_is_no_label_and_is_counted(server, text, label):
    server.special = {0: text}
    found = tw.judge_responses(rows(2), tw.Judge.of(server.url, "m"))
    assert found.frame["judge"].to_list() == [label, 0.0]
    assert found.off_format == (label is None)
    assert (found.example is None) == (label is not None)


def test_a_text_that_the_server_refuses_stops_nothing_but_the_first_one_does(server):
    server.refused = {3, 5}
    found = tw.judge_responses(rows(), tw.Judge.of(server.url, "m"))
    assert found.refused == 2
    assert found.frame["judge"].to_list() == [1.0, 0.0, 1.0, None, 1.0, None, 1.0, 0.0]
    server.refused = {0}
    with pytest.raises(TruewardError, match="HTTP 400"):
        tw.judge_responses(rows(), tw.Judge.of(server.url, "m"))


def test_a_busy_server_is_asked_again(server, waits):
    server.codes = [429, 503]
    found = tw.judge_responses(rows(3), tw.Judge.of(server.url, "m"))
    assert found.frame["judge"].null_count() == 0
    assert len(waits) == 2


@pytest.mark.parametrize("answer", [{}, {"choices": []}, [], {"choices": [{"message": None}]}])
def test_an_answer_that_is_no_chat_completion_is_one_sentence(server, answer):
    server.change = lambda _: answer
    with pytest.raises(TruewardError, match="should answer with a chat completion"):
        tw.judge_responses(rows(2), tw.Judge.of(server.url, "m"))


def test_answers_before_an_error_are_kept_and_not_asked_for_again(server, tmp_path, monkeypatch):
    judge = tw.Judge.of(server.url, "m")
    file = tmp_path / "answers.jsonl"
    server.change = lambda answer: {} if len(server.requests) > 4 else answer
    with pytest.raises(TruewardError):
        tw.judge_responses(rows(), judge, journal=Journal(file), parallel=1)
    file.write_text(file.read_text() + '["half a li')
    server.change, server.requests = lambda answer: answer, []
    found = tw.judge_responses(rows(), judge, journal=Journal(file), parallel=1)
    assert server.numbers() == [4, 5, 6, 7]
    assert found.frame["judge"].null_count() == 0
    again = Journal(file)
    assert len(again.answers) == 8


def test_the_key_goes_to_the_named_address_only_and_is_stored_nowhere(
    server, tmp_path, monkeypatch
):
    monkeypatch.setenv("TRUEWARD_API_KEY", SECRET)
    journal = Journal(tmp_path / "a.jsonl")
    found = tw.judge_responses(rows(2), tw.Judge.of(server.url, "m"), journal=journal)
    assert {key for _, key in server.requests} == {f"Bearer {SECRET}"}
    assert SECRET not in str(found.frame.to_dicts()) + (tmp_path / "a.jsonl").read_text()
    monkeypatch.setattr(named_servers, "ALLOWED", set())
    unnamed = tw.Judge(server.url, "m")
    with pytest.raises(UsageError, match="allow_endpoint"):
        tw.judge_responses(rows(2), unnamed)


@pytest.mark.parametrize(
    "address", ["ftp://host", "http://key@host/v1", "host", "http://h/v1?key=1"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(UsageError, match="should be http"):
        tw.Judge.of(address, "m")


# the command
@pytest.fixture
def told(server, tmp_path, capsys):
    rows().write_csv(tmp_path / "next.csv")

    def call(*words, code=0):
        at = ["--judge", server.url, "--model", "m", "--out", str(tmp_path / "j.parquet")]
        found, out, err = run(["label", str(tmp_path / "next.csv"), *at, *words], capsys)
        assert found == code, err
        return out + err

    return call


def test_the_cost_is_shown_first_and_nothing_is_sent_without_yes(told, server, tmp_path):
    said = told()
    assert "8 requests to m" in said
    assert re.search(r"about [\d,]+ tokens", said)
    assert "nothing was sent: add --yes" in said
    assert not server.requests
    assert not (tmp_path / "j.parquet").exists()


def test_the_answers_are_a_column_of_their_own_and_never_gold(told, server, tmp_path):
    server.special = {2: "hm"}
    said = told("--yes")
    assert "7 of 8 responses judged, 43% good; 1 answers off format" in said
    table = pl.read_parquet(tmp_path / "j.parquet")
    assert table["judge"].null_count() == 1
    assert "gold" not in table.columns
    assert [f.name for f in tmp_path.iterdir()].count("j.parquet.answers.jsonl") == 0
    log = tw.read_log(rows().with_columns(feedback=1.0))
    with pytest.raises(TruewardError, match="gold"):
        log.with_gold(tmp_path / "j.parquet")
    server.requests = []
    assert "(8 have an answer already)" in told("--yes")
    assert not server.requests


# beside gold labels
def test_a_judge_is_joined_as_context_and_its_gaps_have_the_mean():
    log = tw.read_log(rows().with_columns(feedback=1.0))
    answers = rows(6).with_columns(judge=pl.Series([1.0, 0.0, 1.0, 0.0, 1.0, None]))
    frame = tw.with_judge(log, answers).frame
    assert frame["context.judge"].to_list() == [1.0, 0.0, 1.0, 0.0, 1.0, *[pytest.approx(0.6)] * 3]
    assert frame["context.judge_missing"].to_list() == [0.0] * 5 + [1.0] * 3
    assert "gold" not in frame.columns


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (rows(), "judge"),
        (rows().with_columns(judge=pl.lit(None, pl.Float64)), "should have a number in `judge`"),
        (rows().with_columns(judge=pl.lit("GOOD")), "should have a number in `judge`"),
        (rows().with_columns(judge=1.0, response=pl.lit("x")), "is a row of"),
        (
            pl.concat([rows().with_columns(judge=1.0), rows().with_columns(judge=0.0)]),
            "two answers of the judge",
        ),
    ],
)
def test_answers_that_say_nothing_of_a_log_are_refused(answers, said):
    log = tw.read_log(rows().with_columns(feedback=1.0))
    with pytest.raises(TruewardError, match=said):
        tw.with_judge(log, answers)
