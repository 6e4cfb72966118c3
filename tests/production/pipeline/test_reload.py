"""The step that tells a server to load the promoted model, against a server on this machine."""

import http.server
import json
import threading
from pathlib import Path

import pytest
from helpers.loopback import loopback_only, recorded_waits  # noqa: F401 - fixtures

from trueward.core.errors import TruewardError
from trueward.production.pipeline import read_pipeline, run_pipeline


class Server(http.server.BaseHTTPRequestHandler):
    """Answers as `trueward serve` does."""

    code, digest = 200, "abc"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, self.headers["Authorization"], json.loads(body)))
        answer = json.dumps({"model": "rm", "digest": self.digest}).encode()
        self.send_response(self.code)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUEWARD_API_KEY", "key")
    with http.server.HTTPServer(("127.0.0.1", 0), Server) as running:
        running.asked = []
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def run(server, model=None):
    Path("work").mkdir(exist_ok=True)
    Path("work/model.json").write_text(json.dumps({"digest": "abc"}))
    steps = [{"promote": {"work": "live"}}, {"reload": f"http://127.0.0.1:{server.server_port}"}]
    steps[1] |= {"model": model} if model else {}
    Path("run.yaml").write_text(json.dumps({"steps": steps}))
    pipeline = read_pipeline("run.yaml", None)
    return run_pipeline(pipeline, Path("kept"), None, version="1")


def test_the_server_is_told_once_for_each_promoted_model(server):
    run(server)
    assert server.asked == [("/admin/reload", "Bearer key", {})]
    run(server)
    assert len(server.asked) == 1


def test_another_folder_can_be_named_as_the_server_sees_it(server):
    run(server, "/models/live")
    assert server.asked[0][2] == {"model": "/models/live"}


def test_a_server_that_loads_another_model_is_an_error(server, monkeypatch):
    monkeypatch.setattr(Server, "digest", "another")
    with pytest.raises(TruewardError, match="loaded another model than was promoted"):
        run(server)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [(404, "is not there"), (401, "TRUEWARD_API_KEY"), (503, "did not load the promoted model")],
)
def test_a_server_that_does_not_reload_is_told_again_by_the_next_run(
    server, monkeypatch, code, sentence
):
    monkeypatch.setattr(Server, "code", code)
    with pytest.raises(TruewardError, match=sentence):
        run(server)
    monkeypatch.setattr(Server, "code", 200)
    assert [s["status"] for s in run(server).record["steps"]] == ["skipped", "ran"]
