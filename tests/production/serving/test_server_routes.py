"""The server's own routes, keys, limits, health, metrics and logs."""

import asyncio
import json
import logging

import pytest
from helpers.serving import ABOUT, Server, StubScorer, answered, restored_logging

from trueward.core.errors import TruewardError
from trueward.production.serving import logs
from trueward.production.serving.errors import BatchError

ONE = {"prompt": "Name a colour.", "response": "Blue."}
REWARD = {
    "reward": 0.5,
    "preferred": 0.05,
    "spread": 0.0,
    "out_of_distribution": False,
    "low": 0.1,
    "high": 0.9,
    "decision": 1,
    "truncated": False,
}


def run(test):
    asyncio.run(asyncio.wait_for(test(), 10))


def served(test, **options):
    """Run a test with a server."""

    async def wrapped():
        async with Server(**options) as server:
            await test(server)

    run(wrapped)


def test_a_pair_of_texts_and_messages_and_rows_give_the_same_reward():
    async def test(server):
        user, answer = (
            {"role": r, "content": c}
            for r, c in zip(["user", "assistant"], ONE.values(), strict=True)
        )
        bodies = [
            ONE,
            {"messages": [user, answer]},
            {"prompt": [user], "response": [answer]},
            {"rows": [ONE]},
            {"rows": [{"messages": [user, answer]}]},
        ]
        for body in bodies:
            reply = await server.ask("/v1/rewards", body, headers=[("X-Request-Id", "mine")])
            assert reply.code == 200
            assert reply.headers["x-request-id"] == "mine"
            assert reply.json == {
                "id": "mine",
                "model": {"name": "rm", "digest": "d" * 64},
                "rewards": [REWARD],
            }
        none = await server.ask("/v1/rewards", {"rows": []})
        assert (none.code, none.json["rewards"]) == (200, [])

    served(test)


def test_a_conversation_reads_as_the_log_has_it():
    async def test(server):
        seen = []
        score = server.scorer.score

        async def watched(texts):
            seen.extend((t.prompt, t.response) for t in texts)
            return await score(texts)

        server.scorer.score = watched
        chat = [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {"role": "assistant", "content": "Hello."},
        ]
        await server.ask("/v1/rewards", {"messages": chat})
        assert seen == [("system: Be kind.\nuser: Hi", "Hello.")]

    served(test)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", 400, None),
        (b"\xff", 400, None),
        (b"[1]", 400, None),
        (b"[" * 100_000, 400, None),
        (b"", 422, "prompt"),
        ({"prompt": "a"}, 422, "response"),
        ({"prompt": "a", "response": None}, 422, "response"),
        ({"prompt": "a", "response": 7}, 422, "response"),
        ({"prompt": "a", "respons": "b"}, 422, "respons"),
        ({"messages": []}, 422, "messages"),
        ({"messages": [{"role": "user", "content": "Hi"}]}, 422, "messages"),
        (
            {"messages": [{"role": "user"}, {"role": "assistant", "content": "x"}]},
            422,
            "messages[0].content",
        ),
        ({"messages": [ONE, ONE]}, 422, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "a"}], "prompt": "b"}, 422, "prompt"),
        ({"rows": ONE}, 422, "rows"),
        ({"rows": [ONE, "x"]}, 422, "rows[1]"),
        ({"rows": [ONE, {"prompt": "a", "response": {}}]}, 422, "rows[1].response"),
        ({**ONE, "min_confidence": 1.0}, 422, "min_confidence"),
        ({**ONE, "min_confidence": "high"}, 422, "min_confidence"),
        ({**ONE, "min_confidence": 10**400}, 422, "min_confidence"),
        ({**ONE, "truncate": "yes"}, 422, "truncate"),
    ],
)
def test_a_wrong_request_is_told_which_field_is_wrong(body, code, param):
    async def test(server):
        reply = await server.ask("/v1/rewards", body, method="POST")
        assert reply.code == code, reply.body
        error = reply.json["error"]
        assert (error["param"], error["code"]) == (param, code)
        assert not server.scorer.batches

    served(test)


def test_decisions_need_a_calibrated_model():
    class Plain(StubScorer):
        about = ABOUT | {"calibration": None, "by_class": False}

    async def test(server):
        assert (await server.ask("/v1/rewards", ONE)).json["rewards"][0]["decision"] is None
        reply = await server.ask("/v1/rewards", {**ONE, "min_confidence": 0.9})
        assert (reply.code, reply.json["error"]["param"]) == (422, "min_confidence")
        assert "trueward calibrate" in reply.json["error"]["message"]

    served(test, scorer=Plain)


def test_a_model_with_only_an_interval_answers_with_it():
    class Interval(StubScorer):
        about = ABOUT | {"interval_only": True, "calibration": None}

        async def score(self, texts):
            return [answered(t, reward=None, preferred=None) for t in texts]

    async def test(server):
        reply = await server.ask("/v1/rewards", ONE)
        row = reply.json["rewards"][0]
        assert (row["reward"], row["low"], row["high"]) == (None, 0.1, 0.9)
        refused = await server.ask("/get_reward", {"query": ["[INST] a [/INST] b"]})
        assert refused.code == 501
        assert "/v1/rewards" in refused.json["error"]["message"]

    served(test, scorer=Interval)


def test_a_text_that_is_too_long_is_refused_or_truncated_if_asked_and_both_are_counted():
    async def test(server):
        long = {"prompt": "a", "response": "x" * 16_001}
        reply = await server.ask("/v1/rewards", long)
        assert reply.code == 413
        assert "16,001 characters" in reply.json["error"]["message"]
        assert "xxx" not in reply.body.decode()
        reply = await server.ask("/v1/rewards", {**long, "truncate": True})
        assert reply.json["rewards"][0]["truncated"] is True
        assert await server.count("trueward_too_long_total") == 1
        assert await server.count("trueward_truncated_total") == 1

    served(test)


def test_limits_of_body_batch_and_queue():
    async def test(server):
        assert (await server.ask("/v1/rewards", {**ONE, "prompt": "a" * 300})).code == 413
        declared = await server.ask("/v1/rewards", b"{}", headers=[("Content-Length", "999")])
        assert declared.code == 413
        reply = await server.ask("/v1/rewards", {"rows": [{"prompt": "", "response": "b"}] * 4})
        assert reply.code == 413
        assert reply.json["error"]["message"].startswith(
            "batch size 4 > maximum allowed batch size 3"
        )
        server.scorer.free.clear()
        first = asyncio.create_task(server.ask("/v1/rewards", ONE))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(server.ask("/v1/rewards", {**ONE, "response": "Green."}))
        await asyncio.sleep(0.01)
        full = await server.ask("/v1/rewards", {**ONE, "response": "Yellow."})
        assert (full.code, full.headers["retry-after"]) == (503, "1")
        server.scorer.free.set()
        assert [(await t).code for t in (first, second)] == [200, 200]
        assert await server.count('trueward_requests_total{code="503",route="/v1/rewards"}') == 1

    served(test, batches={"queue_tokens": 6}, body=200, rows=3)


def test_an_unknown_route_and_a_wrong_method_say_what_there_is():
    async def test(server):
        reply = await server.ask("/v1/reward", ONE)
        assert reply.code == 404
        assert "/v1/rewards" in reply.json["error"]["message"]
        reply = await server.ask("/v1/rewards")
        assert reply.code == 405
        assert reply.headers["allow"] == "POST"

    served(test)


KEYED = [
    ("/v1/rewards", ONE),
    ("/classify", {}),
    ("/metrics", None),
    ("/docs", None),
    ("/nothing", None),
]


def test_every_route_but_health_needs_a_key():
    async def test(server):
        for path, body in [
            *KEYED,
            ("/v1/model", None),
            ("/admin/reload", {}),
            ("/openapi.json", None),
        ]:
            for headers in ([], [("Authorization", "Bearer wrong")], [("X-API-Key", "")]):
                reply = await server.ask(path, body, headers=headers)
                assert (reply.code, reply.headers["www-authenticate"]) == (401, "Bearer"), path
        for headers in (
            [("Authorization", "Bearer k2")],
            [("authorization", "bearer k1")],
            [("X-API-Key", "k1")],
        ):
            assert (await server.ask("/v1/rewards", ONE, headers=headers)).code == 200
        for path in ("/health", "/ready"):
            assert (await server.ask(path)).code == 200

    served(test, keys=["k1", "k2"])


def test_a_page_in_a_browser_cannot_ask_a_server_without_a_key():
    async def test(server):
        reply = await server.ask("/admin/reload", {}, headers=[("Origin", "http://elsewhere")])
        assert reply.code == 403

    served(test)


def test_health_and_readiness_tell_the_truth():
    async def test(server):
        assert (await server.ask("/health")).code == (await server.ask("/ready")).code == 200
        server.scorer.free.clear()
        asked = asyncio.create_task(server.ask("/v1/rewards", ONE))
        await asyncio.sleep(0.1)
        assert (await server.ask("/health")).code == 200
        await asyncio.sleep(0.2)  # beyond --stall
        assert (await server.ask("/health")).code == (await server.ask("/ready")).code == 503
        server.scorer.free.set()
        assert (await asked).code == 200
        assert (await server.ask("/health")).code == (await server.ask("/ready")).code == 200
        server.service.stopping = True
        assert (await server.ask("/ready")).code == 503
        assert (await server.ask("/health")).code == 200

    served(test)


def test_a_server_that_is_still_loading_lives_but_is_not_ready():
    async def test():
        server = Server()
        assert (await server.ask("/health")).code == 200
        assert (await server.ask("/ready")).code == 503
        reply = await server.ask("/v1/rewards", ONE)
        assert (reply.code, reply.headers["retry-after"]) == (503, "5")

    run(test)


def test_a_client_that_left_is_dropped_before_its_text_is_scored():
    async def test(server):
        server.scorer.free.clear()
        first = asyncio.create_task(server.ask("/v1/rewards", ONE))
        await asyncio.sleep(0.01)
        gone = asyncio.Event()
        left = asyncio.create_task(
            server.ask("/v1/rewards", {**ONE, "response": "Red."}, gone=gone)
        )
        await asyncio.sleep(0.01)
        gone.set()
        assert (await left).code == 499
        server.scorer.free.set()
        assert (await first).code == 200
        assert server.scorer.batches == [["Blue."]]
        assert await server.count("trueward_disconnected_total") == 1

    served(test)


def test_metrics_have_our_names_and_those_that_dashboards_read():
    async def test(server):
        same = {"rows": [ONE, ONE, {**ONE, "response": "No."}]}
        await server.ask("/v1/rewards", same)
        assert await server.count("trueward_requests_total") == 1
        assert await server.count("trueward_cache_hits_total") == 1
        assert await server.count("trueward_reward_count") == 3
        assert await server.count("trueward_batch_rows_sum") == 2
        assert await server.count("trueward_queue_tokens") == 0
        text = (await server.ask("/metrics")).body.decode()
        for name in (
            "num_requests_running",
            "num_requests_waiting",
            "request_queue_time_seconds_count",
        ):
            assert f'vllm:{name}{{model_name="rm"}}' in text
        assert 'vllm:request_success_total{model_name="rm"} 1.0' in text
        assert 'vllm:e2e_request_latency_seconds_count{model_name="rm"} 1.0' in text
        assert f'trueward_model_info{{digest="{"d" * 16}",name="rm"}} 1.0' in text

    served(test)


def test_logs_are_json_lines_without_texts_and_without_tracebacks(caplog):
    async def test(server):
        with caplog.at_level("INFO", "trueward.serve"):
            await server.ask("/v1/rewards", {"prompt": "SECRET", "response": "SECRET"})
            await server.ask("/v1/rewards", {"prompt": "SECRET"})
            server.scorer.problem = lambda _: BatchError("bad")
            await server.ask("/v1/rewards", {"prompt": "SECRET", "response": "SECRET 2"})

            async def broken(*_):
                raise ZeroDivisionError("SECRET")

            server.service.score = broken
            assert (
                await server.ask("/v1/rewards", {"prompt": "SECRET", "response": "x"})
            ).code == 500

    served(test)
    lines = [
        json.loads(logs.JsonLines().format(r)) for r in caplog.records if r.name == "trueward.serve"
    ]
    asked = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in asked] == [200, 422, 500, 500]
    assert asked[0]["rows"] == 1
    assert asked[0]["route"] == "/v1/rewards"
    assert asked[3]["error"].startswith("ZeroDivisionError at ")
    assert "SECRET" not in json.dumps(lines)
    assert not any(r.exc_text for r in caplog.records)


def test_requests_are_stored_only_in_a_file_that_is_asked_for_and_redacted(tmp_path):
    path = tmp_path / "requests.jsonl"

    async def test(server):
        body = {"prompt": "Mail ann@example.org", "response": "Call +1 650 253 0000."}
        await server.ask("/v1/rewards", body, headers=[("X-Request-Id", "r1")])

    served(test, log=path)
    (row,) = map(json.loads, path.read_text("utf-8").splitlines())
    assert row["response_id"] == "r1-0"
    assert row["prompt"] == "Mail <EMAIL>"
    assert row["response"] == "Call <PHONE>."
    assert (row["route"], row["model"], row["reward"]) == ("/v1/rewards", "d" * 64, 2.1)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_reload_answers_the_old_requests_by_the_old_model_and_new_ones_by_the_new():
    made = []

    class Versioned(StubScorer):
        def __init__(self, start, index):
            super().__init__()
            self.about = {**ABOUT, "digest": f"{len(made)}" * 64, "name": start.folder}
            made.append(self)
            self.fails = start.folder == "broken"

        async def start(self):
            if self.fails:
                raise TruewardError("broken is no reward model: give another folder")
            await super().start()

    async def test(server):
        made[0].free.clear()
        key = [("X-API-Key", "k")]
        old = asyncio.create_task(server.ask("/v1/rewards", ONE, headers=key))
        await asyncio.sleep(0.01)
        reply = await server.ask("/admin/reload", {"model": "new"}, headers=key)
        assert (reply.code, reply.json) == (200, {"model": "new", "digest": "1" * 64})
        fresh = await server.ask("/v1/rewards", ONE, headers=key)
        assert fresh.json["model"] == {"name": "new", "digest": "1" * 64}
        assert not made[0].ended
        made[0].free.set()
        assert (await old).json["model"]["digest"] == "0" * 64
        await asyncio.sleep(0.01)
        assert made[0].ended
        assert made[0].batches == [["Blue."]]
        failed = await server.ask("/admin/reload", {"model": "broken"}, headers=key)
        assert failed.code == 422
        assert "served on" in failed.json["error"]["message"]
        assert (await server.ask("/v1/model", headers=key)).json["digest"] == "1" * 64
        assert await server.count("trueward_reloads_total") == 2

    served(test, scorer=Versioned, keys=["k"])


def test_only_a_server_with_a_key_lets_a_request_name_another_model():
    async def test(server):
        assert (await server.ask("/admin/reload", {"model": "/etc"})).code == 403
        assert (await server.ask("/admin/reload", {})).code == 200

    served(test)


def test_the_log_level_hides_requests(capsys):
    with restored_logging():
        logs.to_stderr("warning")
        logging.getLogger("trueward.serve").info("request")
        logging.getLogger("trueward.serve").warning("shown", extra={"status": 503})
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["shown"]
