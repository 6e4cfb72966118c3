"""`trueward serve` and wrong requests of it; the reward function that asks a server."""

import asyncio
import contextlib
import errno
import socket
import sys
import threading
import time

import pytest
import uvicorn
from helpers import loopback
from helpers.commands import run
from helpers.serving import ABOUT, Server, StubScorer, answered, restored_logging

from trueward.core.errors import TruewardError, UsageError
from trueward.production.serving import scoring_process
from trueward.production.serving.server import bound_socket
from trueward.rlhf import remote

no_network, waits = loopback.loopback_only, loopback.recorded_waits


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder whose record is a model's; no process reads the rest."""
    monkeypatch.setattr(
        "trueward.model.folder.read_record", lambda path: {"backbone": '{"name": "wordllama"}'}
    )
    return str(tmp_path)


def test_a_folder_that_is_no_model_is_refused_before_anything_starts(tmp_path, capsys):
    code, _, err = run(["serve", str(tmp_path)], capsys)
    assert (code, err) == (
        1,
        f"error: {tmp_path} is no reward model: it has no model.json; give the folder that fit --out wrote\n",
    )


def test_a_model_on_features_from_outside_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("trueward.model.folder.read_record", lambda path: {"backbone": None})
    code, _, err = run(["serve", str(tmp_path)], capsys)
    assert code == 1
    assert "cannot read text" in err


def test_a_model_that_cannot_be_loaded_ends_the_server_with_its_reason(folder, capsys, monkeypatch):
    program = "import sys; from trueward.production.serving.frames import packed; "
    program += (
        "sys.stdout.buffer.write(packed({'failed': 'rm is a damaged reward model: copy it again'}))"
    )
    monkeypatch.setattr(scoring_process, "COMMAND", (sys.executable, "-c", program))
    with restored_logging():
        code, out, err = run(["serve", folder, "--port", "0"], capsys)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == "error: rm is a damaged reward model: copy it again"
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            ["--log-level", "loud"],
            2,
            "--log-level is one of debug, info, warning, error, not 'loud'",
        ),
        (["--min-confidence", "0.3"], 2, "a confidence must be between 0.5 and 1, not 0.3"),
        (["--api-key", " "], 2, "--api-key is empty: give a key"),
        (["--port", "70000"], 2, "less than or equal to 65535"),
        (["--workers", "0"], 2, "greater than or equal to 1"),
        (["--host", ".."], 1, "--host .. is not known"),
        (["--host", "192.0.2.1"], 1, "--host 192.0.2.1 is no address of this machine"),
    ],
)
def test_wrong_options(folder, capsys, options, code, message):
    with restored_logging():
        found, _, err = run(["serve", folder, *options], capsys)
    assert found == code
    assert message in err
    assert "Traceback" not in err


def test_a_port_in_use_and_a_reserved_port_are_told_apart(folder, capsys, monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with restored_logging():
            code, _, err = run(["serve", folder, "--port", str(port)], capsys)
    assert code == 1
    assert f"port {port} of 127.0.0.1 is in use" in err

    def denied(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", denied)
    with pytest.raises(TruewardError, match="port 80 is reserved for the system"):
        bound_socket("127.0.0.1", 80)


def test_a_file_that_cannot_be_written_is_refused(folder, capsys, tmp_path):
    with restored_logging():
        path = tmp_path / "none" / "log.jsonl"
        code, _, err = run(["serve", folder, "--port", "0", "--log-requests", str(path)], capsys)
    assert code == 1
    assert f"--log-requests {path} cannot be written" in err


def test_a_missing_extra_is_named(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with restored_logging():
        code, _, err = run(["serve", folder, "--port", "0"], capsys)
    assert code == 1
    assert "pip install 'trueward[serve]'" in err


@contextlib.contextmanager
def running(**options):
    """A server over stub scorers on a port of this machine; its address."""
    own, servers = bound_socket("127.0.0.1", 0), []
    own.listen()  # connections wait until the server runs

    async def serve():
        async with Server(**options) as server:
            config = uvicorn.Config(server.app, log_config=None, access_log=False, lifespan="off")
            servers.append(uvicorn.Server(config))
            await servers[0].serve([own])

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        yield f"http://127.0.0.1:{own.getsockname()[1]}"
    finally:
        while not servers:
            time.sleep(0.01)
        servers[0].should_exit = True
        thread.join()


def test_a_remote_reward_gives_trl_one_number_a_completion_and_two_metrics(waits):
    chats = [[{"role": "user", "content": "Hi"}]] * 70
    completions = [[{"role": "assistant", "content": "x" * i}] for i in range(70)]
    logged = {}
    with running() as url:
        reward = remote(url)
        found = asyncio.run(
            reward(prompts=chats, completions=completions, log_metric=logged.__setitem__, labels=[])
        )
        assert asyncio.run(reward(prompts=["Hi"], completions=["xx"])) == [0.2]
        assert asyncio.run(reward(prompts=[], completions=[])) == []
    assert found == [i / 10 for i in range(70)]
    assert logged["trueward_remote/far"] == 0
    assert 0 < logged["trueward_remote/preferred"] < 1
    assert reward.__name__ == "trueward_remote"


def test_a_remote_reward_sends_the_key_and_says_what_the_server_refuses(waits, monkeypatch):
    monkeypatch.delenv("TRUEWARD_API_KEY", raising=False)
    with running(keys=["k"]) as url:
        assert asyncio.run(remote(url, key="k")(prompts=["a"], completions=["bb"])) == [0.2]
        with pytest.raises(TruewardError, match="401"):
            asyncio.run(remote(url)(prompts=["a"], completions=["b"]))
        monkeypatch.setenv("TRUEWARD_API_KEY", "k")
        assert asyncio.run(remote(url)(prompts=["a"], completions=["b"])) == [0.1]
    with pytest.raises(UsageError, match="http://"):
        remote("localhost:8000")


def test_a_server_that_does_not_answer_gives_none_and_a_warning(waits, caplog):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert asyncio.run(remote(url)(prompts=["a"], completions=["b"])) == [None]
    assert "1 completions have no reward" in caplog.text
    assert len(waits) == 6


def test_a_remote_model_with_only_an_interval_is_no_reward(waits):
    class Interval(StubScorer):
        about = ABOUT | {"interval_only": True, "calibration": None}

        async def score(self, texts):
            return [answered(t, reward=None, preferred=None) for t in texts]

    with running(scorer=Interval) as url, pytest.raises(TruewardError, match="only an interval"):
        asyncio.run(remote(url)(prompts=["a"], completions=["b"]))
