"""A server without sockets, and scorers that do what a test says."""

import asyncio
import contextlib
import json
import logging
from dataclasses import dataclass, field

from trueward.production.serving.app import application
from trueward.production.serving.batcher import Batcher, BatchLimits
from trueward.production.serving.errors import ScorerDiedError
from trueward.production.serving.frames import Answer, Text
from trueward.production.serving.scoring_process import Start
from trueward.production.serving.service import Service
from trueward.production.serving.settings import RequestLimits, Settings

ABOUT = {
    "name": "rm",
    "digest": "d" * 64,
    "trueward": "0.1.0",
    "method": "naive",
    "backbone": '{"name": "wordllama"}',
    "interval_only": False,
    "by_class": True,
    "calibration": {"kind": "platt", "gold_labels": 9, "guarantee": "", "warning": None},
    "batch_tokens": 16_384,
    "limit": {"most": 16_000, "unit": "characters"},
    "card": "# naive",
}


def value(text):
    """The reward that a stub gives a text: its number of characters / 10."""
    return len(text.response) / 10


def answered(text, **changes):
    known = {
        "reward": value(text),
        "preferred": min(0.99, value(text) / 10),
        "spread": 0.0,
        "out_of_distribution": False,
        "low": 0.1,
        "high": 0.9,
        "decision": None if text.level is None else 1,
        "truncated": text.truncate,
    }
    return Answer(**{**known, **changes})


class StubScorer:
    """Answers by `value`; holds batches until `free` is set; fails as its `problem` says."""

    about = ABOUT

    def __init__(self, start=None, index=0):
        self.batches, self.starts, self.ended = [], 0, False
        self.free = asyncio.Event()
        self.free.set()
        self.problem = lambda texts: None

    async def start(self):
        self.starts += 1

    async def end(self, wait=5.0):
        self.ended = True

    async def score(self, texts):
        self.batches.append([t.response for t in texts])
        await self.free.wait()
        if (problem := self.problem(texts)) is not None:
            raise problem
        await asyncio.sleep(0)
        return [answered(t) for t in texts]


class Counted:
    """Counts what a batcher reports."""

    def __init__(self):
        self.sizes, self.failures = [], []

    def batch(self, rows, began, ended):
        self.sizes.append(len(rows))

    def failure(self, kind):
        self.failures.append(kind)


def batcher(*scorers, **limits):
    """Return a running batcher and its counter."""
    counted = Counted()
    made = Batcher(scorers, BatchLimits(**limits), counted)
    made.run()
    return made, counted


def texts(*responses, prompt="Q"):
    return [Text(prompt, r) for r in responses]


@contextlib.contextmanager
def restored_logging():
    """Give the library's loggers their handlers back, which a server replaces."""
    before = [
        (g, g.handlers, g.propagate, g.level)
        for g in map(logging.getLogger, ("trueward", "uvicorn"))
    ]
    try:
        yield
    finally:
        for logger, logger.handlers, logger.propagate, level in before:
            logger.setLevel(level)


def dies_with(word):
    """A problem: the process ends with every batch that has a text with this word."""
    return lambda batch: ScorerDiedError() if any(word in t.response for t in batch) else None


@dataclass
class Reply:
    code: int = 0
    headers: dict = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self):
        return json.loads(self.body)


async def ask(app, path, body=None, *, method=None, headers=(), gone=None):
    """Send one request to an application; `gone` is an event after which the client has left."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    reply, parts, sent = Reply(), [], [False]

    async def receive():
        if not sent[0]:
            sent[0] = True
            return {"type": "http.request", "body": raw, "more_body": False}
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.start":
            reply.code = message["status"]
            reply.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            parts.append(message.get("body", b""))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method or ("GET" if body is None else "POST"),
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 1),
        "headers": [(k.lower().encode(), v.encode()) for k, v in headers],
    }
    await app(scope, receive, send)
    reply.body = b"".join(parts)
    return reply


class Server:
    """An application over one stub scorer, or over what `scorer` makes."""

    def __init__(
        self, scorer=StubScorer, *, batches=None, log=None, keys=(), stall=0.2, **requests
    ):
        settings = Settings(
            Start("rm", stall=stall),
            BatchLimits(**(batches or {})),
            RequestLimits(**requests),
            tuple(keys),
            log_requests=log,
        )
        self.service = Service(settings, scorer)
        self.app = application(self.service)

    async def __aenter__(self):
        await self.service.begin()
        return self

    async def __aexit__(self, *_):
        if self.service.engine and hasattr(self.scorer, "free"):
            self.scorer.free.set()  # after a failed assertion, too
        await self.service.end()

    @property
    def scorer(self):
        return self.service.engine.processes[0]

    async def ask(self, path, body=None, **more):
        return await ask(self.app, path, body, **more)

    async def count(self, line):
        """The value of a metric, by the beginning of its line."""
        more = [("X-API-Key", k) for k in self.service.settings.keys]
        lines = (await self.ask("/metrics", headers=more)).body.decode().splitlines()
        return sum(float(found.rpartition(" ")[2]) for found in lines if found.startswith(line))
