"""The fixture of every product gives the expected responses, events, scope and log."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest
from helpers.product_exports import FIXTURES, column, fixture, signals

from trueward.importers import sources
from trueward.importers.channels import CHANNELS


def test_langfuse_observations_and_exported_scores():
    result = fixture("langfuse_observations.jsonl", "langfuse_scores.jsonl")
    assert result.source.name == "langfuse"
    assert result.info.export_scope.level == "full"
    # the thumb is on the trace and goes to its generation; a judge stays a judge
    assert signals(result) == [
        ("obs-01", "comment", 1.0, "user"),
        ("obs-01", "thumbs_up", 1.0, "user"),
        ("obs-02", "rating", 0.9, "judge"),
    ]
    assert column(result, "feedback") == {"obs-01": 1.0, "obs-02": None}
    assert column(result, "prompt")["obs-01"] == "Suggest a name for a sailing club."
    assert column(result, "response") == {"obs-01": "How about Fair Winds?", "obs-02": "51"}
    assert column(result, "judge")["obs-02"] == 0.9
    assert column(result, "time")["obs-01"] == datetime(2026, 3, 2, 9, 15, 1, 120_000, UTC)
    assert result.summary["skipped"] == {
        "an observation of type SPAN is no answer": 1,
        "the score name 'copied' is not mapped": 1,
    }


def test_langfuse_names_of_the_app_count_once_they_are_mapped():
    result = fixture(
        "langfuse_observations.jsonl", "langfuse_scores.jsonl", mapping=[("copy", "copied")]
    )
    assert ("obs-01", "copy", 1.0, "user") in signals(result)
    assert column(result, "channel.copy") == {"obs-01": 1.0, "obs-02": None}  # absence is unknown


def test_langfuse_pages_of_the_api():
    result = fixture("langfuse_observations.jsonl", "langfuse_scores_api_v3.json")
    assert column(result, "feedback") == {"obs-01": 1.0, "obs-02": None}
    assert result.summary["skipped"]["the score name 'tone' is not mapped"] == 1


def test_phoenix_spans_and_annotations():
    result = fixture("phoenix_spans_and_annotations.jsonl")
    assert (result.source.name, result.info.export_scope.level) == ("phoenix", "full")
    assert signals(result) == [
        ("s001", "comment", 1.0, "user"),
        ("s001", "thumbs_down", 1.0, "user"),
        ("s002", "rating", 1.0, "judge"),
    ]
    assert column(result, "feedback") == {"s001": 0.0, "s002": None}
    assert column(result, "prompt") == {
        "s001": "Give me a pancake recipe.",
        "s002": "Convert 3 miles to km.",
    }


def test_langsmith_runs_and_feedback():
    result = fixture("langsmith.jsonl")
    assert (result.source.name, result.info.export_scope.level) == ("langsmith", "full")
    assert result.log["feedback"].to_list() == [0.0, None]
    assert result.log["response"].to_list() == ["Soft rain on the roof", "n-e-c-e-s-s-a-r-y"]
    assert result.log["judge"].to_list() == [None, 1.0]
    # the session_id of a run is its project: only the first run names a chat
    assert result.log["session_id"].null_count() == 1


def test_helicone_requests():
    result = fixture("helicone.jsonl")
    assert (result.source.name, result.info.export_scope.level) == ("helicone", "full")
    assert column(result, "feedback") == {"rq-1": 1.0, "rq-2": None}
    assert result.summary["skipped"] == {"a request that ended in status 429": 1}


def test_open_webui_feedback_export():
    result = fixture("openwebui_feedback.json")
    assert (result.source.name, result.info.export_scope.level) == ("openwebui", "rated_chats_only")
    # m5 has no answer beside it, so nobody could choose: neither branch_kept nor continue
    assert signals(result) == [
        ("m2", "branch_kept", 0.0, "user"),
        ("m2", "continue", 0.0, "user"),
        ("m2", "rating", 3.0, "user"),
        ("m2", "regenerate", 1.0, "user"),
        ("m2", "thumbs_down", 1.0, "user"),
        ("m3", "branch_dropped", 0.0, "user"),
        ("m3", "branch_kept", 1.0, "user"),
        ("m3", "continue", 1.0, "user"),
        ("m3", "repair", 0.0, "user"),
    ]
    assert column(result, "channel.continue") == {"m2": 0.0, "m3": 1.0, "m5": None}
    assert result.info.scales["rating"] == (1.0, 10.0)
    assert column(result, "feedback") == {"m2": 0.0, "m3": None, "m5": None}
    assert column(result, "channel.regenerate") == {"m2": 1.0, "m3": 0.0, "m5": 0.0}
    assert column(result, "parent_response_id")["m3"] == "openwebui:c-1/m2"
    assert column(result, "prompt")["m5"] == (
        "user: How long do I boil eggs?\nassistant: Nine minutes for hard boiled.\nuser: And soft?"
    )
    assert column(result, "turn") == {"m2": 0, "m3": 0, "m5": 1}


def test_open_webui_chats():
    result = fixture("openwebui_chats.jsonl")
    assert result.info.export_scope.level == "full"
    assert signals(result) == [
        ("b1", "branch_dropped", 1.0, "user"),
        ("b1", "branch_kept", 0.0, "user"),
        ("b2", "branch_dropped", 0.0, "user"),
        ("b2", "branch_kept", 1.0, "user"),
        ("b2", "save", 1.0, "user"),
        ("d1", "thumbs_up", 1.0, "user"),  # a rating that is a string
        ("e1", "thumbs_up", 1.0, "user"),  # a rating on the message itself
    ]
    assert column(result, "response")["d1"] == "About 80 degrees Celsius."  # without the reasoning
    assert column(result, "position") == {"b1": 0, "b2": 1, "d1": None, "e1": None}


def test_librechat_messages():
    result = fixture("librechat_messages.jsonl")
    assert (result.source.name, result.info.export_scope.level) == ("librechat", "full")
    assert signals(result) == [("a1", "regenerate", 1.0, "user"), ("a1", "thumbs_up", 1.0, "user")]
    assert column(result, "response")["a2"] == "A simple menu with salad and tea."


def test_fastchat_logs():
    result = fixture("fastchat.jsonl")
    assert (result.source.name, result.info.export_scope.level) == ("fastchat", "full")
    rows = (
        result.log.sort("response")
        .select("response", "feedback", "channel.regenerate", "model")
        .rows()
    )
    assert rows == [
        ("A thing.", None, 0.0, "tiny-chat-2"),
        ("Kite, bright, flight.", 1.0, 0.0, "tiny-chat-1"),
        ("Night.", None, 1.0, "tiny-chat-1"),
        ("The smallest unit of an element.", None, 0.0, "tiny-chat-1"),
    ]
    texts = dict(result.log.select("response_id", "response").iter_rows())
    (pair,) = result.pairs.to_dicts()
    assert texts[pair["winner_id"]] == "The smallest unit of an element."
    assert texts[pair["loser_id"]] == "A thing."


def test_addresses_stay_out_unless_a_secret_hides_them():
    assert fixture("fastchat.jsonl").log["user_id"].null_count() == 4
    hidden = fixture("fastchat.jsonl", hash_users=b"a secret of sixteen bytes")
    assert hidden.log["user_id"].n_unique() == 2
    assert not hidden.log["user_id"].str.contains("198.51").any()


def test_dify_feedback_export():
    result = fixture("dify_feedback.csv")
    assert (result.source.name, result.info.export_scope.level) == ("dify", "rated_only")
    assert column(result, "feedback") == {"msg-1": 1.0, "msg-2": 0.0}
    assert column(result, "gold") == {"msg-1": None, "msg-2": 0.0}  # of the admin, an annotator
    assert "GET /v1/messages" in result.summary["wider"]


def test_argilla_records_are_gold():
    result = fixture("argilla.json", mapping=[("rating", "helpfulness")], scale=(1, 5))
    assert (result.source.name, result.info.export_scope.level) == ("argilla", "annotation")
    # (5 - 1) / 4 and (4 - 1) / 4 are averaged; drafts and discarded answers are no labels
    assert column(result, "gold") == {"b1": 0.875, "b2": None, "b3": 0.75}
    assert column(result, "gold_n") == {"b1": 2, "b2": None, "b3": 1}
    assert column(result, "judge") == {"b1": 3.0, "b2": None, "b3": None}
    assert result.log["feedback"].null_count() == 3


def test_label_studio_tasks_are_gold():
    result = fixture(
        "labelstudio.json",
        mapping=[("rating", "quality"), ("preferred", "pw"), ("thumbs", "ok")],
        scale=(1, 5),
    )
    assert (result.source.name, result.info.export_scope.level) == ("labelstudio", "annotation")
    assert column(result, "gold") == {"1": 0.75, "left": None, "right": None, "3": 1.0}
    assert ("3", "thumbs_up", 1.0, "judge") in signals(result)
    assert result.pairs.select("winner_id", "loser_id", "source").rows() == [
        ("labelstudio:2/left", "labelstudio:2/right", "annotator")
    ]
    assert result.summary["skipped"] == {"a cancelled annotation": 1}


def test_open_telemetry_spans_and_evaluations():
    result = fixture("otel.jsonl")
    assert (result.source.name, result.info.export_scope.level) == ("otel", "full")
    assert column(result, "feedback") == {"b7ad01": 1.0, "b7ad02": None}
    assert column(result, "response") == {"b7ad01": "Lima.", "b7ad02": "Santiago."}


def test_the_generic_tables():
    result = fixture("generic_responses.jsonl", "generic_events.jsonl", scale=(1, 5))
    assert (result.source.name, result.info.export_scope.level) == ("generic", "full")
    assert column(result, "feedback") == {"1": None, "2": 0.0, "3": None}
    assert column(result, "channel.copy") == {"1": 1.0, "2": None, "3": None}
    assert column(result, "gold") == {"1": None, "2": None, "3": 0.75}
    assert column(result, "context.device") == {"1": "web", "2": "web", "3": "app"}
    assert column(result, "prompt")["3"] == "system: Be brief.\nuser: Say hello."
    assert column(result, "user_id") == {"1": "h1", "2": "h1", "3": "h2"}  # hashed already
    assert result.pairs.select("winner_id", "loser_id", "source", "at", "tie").rows() == [
        ("x:1", "x:2", "user", datetime(2026, 8, 1, 10, 0, 30, tzinfo=UTC), 0.0)
    ]


@pytest.mark.parametrize("path", sorted(FIXTURES.iterdir()), ids=lambda p: p.name)
def test_each_file_alone_is_recognised(path):
    known = {"langfuse", "phoenix", "langsmith", "helicone", "openwebui", "librechat", "fastchat"}
    known |= {
        "dify",
        "argilla",
        "labelstudio",
        "otel",
        "generic",
        "table",
        "gradio",
        "chatgpt",
        "mlflow",
    }
    known |= {"opik", "posthog", "weave", "amplitude", "tensorzero", "anythingllm"}
    fits = [name for name, s in sources().items() if any(map(s.record_kind, _first(path)))]
    fits.remove("table")  # any row may be one of somebody's own table
    assert len(fits) == 1
    assert set(sources()) == known
    assert path.name.startswith((fits[0].replace("generic", "generic_"), "repaired"))


def _first(path):
    from trueward.importers.records import read_records

    return [r.value for r in read_records(path)]


def test_the_page_on_importing_names_every_source_and_what_it_covers():
    page = (FIXTURES.parents[2] / "docs" / "import.md").read_text("utf-8")
    for name, source in sources().items():
        assert f"| `{name}` | {source.title} | {source.covers} |" in page
    for name, channel in CHANNELS.items():
        assert channel.kind == "explicit" or channel.polarity == "none" or f"`{name}`" in page


def test_a_file_in_the_package_is_a_source(tmp_path, monkeypatch):
    import trueward.importers.products as package

    code = (
        FIXTURES.parents[2] / "src" / "trueward" / "importers" / "products" / "generic.py"
    ).read_text("utf-8")
    code = code.replace('"response_id", "prompt"', '"answer_no", "prompt"')
    (tmp_path / "house_brand.py").write_text(code)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    sources.cache_clear()
    try:
        assert (
            sources()["house_brand"].record_kind({"answer_no": 1, "prompt": "", "response": ""})
            == "response"
        )
    finally:
        sys.modules.pop("trueward.importers.products.house_brand")
        sources.cache_clear()
