"""The lottery: a pure function of id, p and key, the same in Python, TypeScript and JavaScript."""

import hashlib
import hmac
import json
import runpy
import shutil
import subprocess
import sys
import types
from importlib.resources import files
from itertools import pairwise

import pytest

import trueward as tw
from trueward.asking.shipped import PRODUCTS, code
from trueward.asking.shipped.ask import draw

IDS = ["resp-1", "resp-2", "a", "ü-😀", "6f1c", *(f"r{i}" for i in range(40))]
CODE = files("trueward.asking.shipped")


def test_a_draw_is_the_head_of_the_hmac_of_purpose_and_id():
    digest = hmac.new(b"k1", b"ask\0resp-1", hashlib.sha256).hexdigest()
    assert draw("resp-1", "k1", "ask") == int(digest[:16], 16)


def test_whoever_is_asked_at_p_is_asked_at_every_larger_p():
    for i in IDS:
        asked = [tw.ask(i, p, "k1").asked for p in (0.0, 0.03, 0.2, 0.7, 1.0)]
        assert asked[0] is False
        assert asked[-1] is True
        assert all(b or not a for a, b in pairwise(asked))


def test_the_share_of_asked_responses_is_p_and_keys_are_independent():
    """Over 20 000 ids, sd of a share .1 is .0021, and that of two keys at once .01 is .0007."""
    one, two = ([tw.ask(f"r{i}", 0.1, k).asked for i in range(20_000)] for k in ("k1", "k2"))
    assert sum(one) / 20_000 == pytest.approx(0.1, abs=4 * 0.0021)
    assert sum(a and b for a, b in zip(one, two, strict=True)) / 20_000 == pytest.approx(
        0.01, abs=4 * 0.0007
    )


def test_levels_are_equally_likely_and_zero_where_nobody_is_asked():
    levels = [tw.ask(f"r{i}", 0.5, "k1", levels=3).level for i in range(9_000)]
    assert levels.count(0) / 9_000 == pytest.approx(0.5, abs=4 * 0.0053)
    for level in (1, 2, 3):
        assert levels.count(level) / 9_000 == pytest.approx(1 / 6, abs=4 * 0.0039)


def test_only_the_first_responses_of_a_day_are_in_the_lottery():
    asks = [tw.ask("resp-1", 1.0, "k1", earlier=n, per_day=2) for n in range(4)]
    assert [a.asked for a in asks] == [True, True, False, False]
    assert [a.p for a in asks] == [1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"response_id": ""}, "response_id must be a text"),
        ({"key": ""}, "key must be a text"),
        ({"p": 3}, "p must be a probability from 0 to 1, not 3"),
        ({"p": float("nan")}, "p must be a probability"),
        ({"levels": 0}, "levels must be a whole number of at least 1"),
        ({"earlier": -1}, "earlier must be a whole number of at least 0"),
        ({"per_day": 0}, "per_day must be a whole number of at least 1"),
    ],
)
def test_a_wrong_parameter_is_named(given, said):
    with pytest.raises(tw.UsageError, match=said):
        tw.ask(**({"response_id": "r", "p": 0.5, "key": "k"} | given))


def outcomes():
    cases = [
        (i, p, levels, n)
        for i in IDS
        for p in (0.0, 0.03, 0.5, 1.0)
        for levels, n in ((1, 0), (3, 1))
    ]
    asks = [tw.ask(i, p, "k1", levels=levels, earlier=n, per_day=2) for i, p, levels, n in cases]
    return cases, [a.columns() for a in asks]


def test_the_python_code_to_paste_gives_the_same_outcomes():
    alone = runpy.run_path(str(CODE / "ask.py"))["ask"]
    cases, ours = outcomes()
    assert [alone(i, p, "k1", levels, n, 2) for i, p, levels, n in cases] == ours
    with pytest.raises(ValueError, match="probability"):
        alone("r", 2, "k1")


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_javascript_code_to_paste_gives_the_same_outcomes(tmp_path):
    (tmp_path / "ask.mjs").write_text((CODE / "ask.js").read_text("utf-8"), "utf-8")
    cases, ours = outcomes()
    script = (
        "import { ask } from './ask.mjs';\n"
        f"const cases = {json.dumps(cases)};\n"
        "const found = [];\n"
        "for (const [i, p, levels, earlier] of cases)\n"
        "  found.push(await ask(i, p, 'k1', { levels, earlier, perDay: 2 }));\n"
        "console.log(JSON.stringify(found));\n"
    )
    (tmp_path / "run.mjs").write_text(script, "utf-8")
    run = subprocess.run(["node", "run.mjs"], cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(run.stdout) == ours


def test_the_typescript_code_is_the_javascript_with_types():
    ts, js = ((CODE / f"ask.{k}").read_text("utf-8") for k in ("ts", "js"))
    for said in (
        ": Promise<bigint>",
        ": { levels?: number; earlier?: number; perDay?: number }",
        ": Promise<{ asked: number; p_ask: number; ask_level: number }>",
        ": string",
        ": number",
    ):
        assert said in ts
        ts = ts.replace(said, "")
    assert "".join(ts.split()) == "".join(js.split())


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_code_for_a_product_is_whole(product, monkeypatch, tmp_path):
    """The Python file runs; what it logs is the outcome under the names that imports read."""
    scores = []
    client = types.SimpleNamespace(create_score=lambda **score: scores.append(score))
    fake = types.ModuleType("langfuse")
    fake.get_client = lambda: client
    monkeypatch.setitem(sys.modules, "langfuse", fake)
    (tmp_path / "lottery.py").write_text(code("py", product), "utf-8")
    made = runpy.run_path(str(tmp_path / "lottery.py"))
    outcome = made["ask"]("o1", 1.0, "k1")
    assert outcome == {"asked": 1, "p_ask": 1.0, "ask_level": 1}
    if product == "langfuse":
        made["log_ask"]("t1", "o1", outcome)
        made["log_seen"]("t1", "o1", seen=True)
        assert [s["name"] for s in scores] == [
            f"trueward.{k}" for k in ("asked", "p_ask", "ask_level", "seen")
        ]
        assert {s["observation_id"] for s in scores} == {"o1"}
        assert len({s["score_id"] for s in scores}) == 4
    if product == "posthog":
        assert made["ask_properties"](outcome)["trueward.p_ask"] == 1.0
    if product == "otel":
        said = {}
        context = types.SimpleNamespace(span_id=0xAB)
        span = types.SimpleNamespace(
            set_attributes=said.update,
            set_attribute=said.__setitem__,
            get_span_context=lambda: context,
        )
        made["log_ask"](span, outcome)
        made["log_seen"](span, seen=False)
        assert said["trueward.asked"] == 1
        assert said["trueward.seen"] == 0
        assert made["span_id"](span) == "00000000000000ab"
    assert "export const ask" in code("ts", product)


def test_code_that_is_not_there_is_said():
    with pytest.raises(tw.UsageError, match="choose one of generic, langfuse, otel, posthog"):
        code("py", "grafana")
    with pytest.raises(tw.UsageError, match="--lang ts"):
        code("js", "otel")
