"""Texts at a path that the user gives (--map prompt=PATH), in chats, battles and flags."""

import csv
import json

import pytest
from helpers.chat_records import chat_gpt, libre_chat, message, open_webui
from helpers.product_exports import column, fixture_records, lines

from trueward.core.errors import TruewardError, UsageError
from trueward.importers import import_log

SENT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Fruit?"}]


def test_open_webui_texts_of_questions_and_of_answers(tmp_path):
    asked = message("a", None, "user", "", data={"question": "Fruit?"})
    said = message("b", "a", "assistant", "", parts=[{"type": "text", "text": "Fig."}])
    path = lines(tmp_path / "c.jsonl", [open_webui(asked, said)])
    paths = [("prompt", "data.question"), ("response", "parts")]
    result = import_log("openwebui", path, mapping=paths)
    assert column(result, "prompt") == {"b": "system: Old.\nuser: Fruit?"}
    assert column(result, "response") == {"b": "Fig."}


def test_a_chat_beside_an_answer_is_its_whole_prompt(tmp_path):
    asked, said = message("a", None, "user", "q"), message("b", "a", "assistant", "Fig.", sent=SENT)
    path = lines(tmp_path / "c.jsonl", [open_webui(asked, said)])
    result = import_log("openwebui", path, mapping=[("prompt", "sent")])
    assert column(result, "prompt") == {"b": "system: Be brief.\nuser: Fruit?"}
    rows = [libre_chat("a", None, True, "q"), libre_chat("b", "a", False, "Fig.", sent=SENT)]
    path = lines(tmp_path / "m.jsonl", rows)
    result = import_log("librechat", path, mapping=[("prompt", "sent")])
    assert column(result, "prompt") == {"b": "system: Be brief.\nuser: Fruit?"}


def test_libre_chat_texts_of_questions_and_of_answers(tmp_path):
    rows = [libre_chat("a", None, True, "", metadata={"asked": "Fruit?"})]
    rows.append(libre_chat("b", "a", False, "", metadata={"said": "Fig.", "asked": "no"}))
    path = lines(tmp_path / "m.jsonl", rows)
    paths = [("prompt", "metadata.asked"), ("response", "metadata.said")]
    result = import_log("librechat", path, mapping=paths)
    assert column(result, "prompt") == {"b": "Fruit?"}
    assert column(result, "response") == {"b": "Fig."}


def test_chat_gpt_contents_of_other_types(tmp_path):
    nodes = dict(
        [
            chat_gpt("a", None, "user", {"content_type": "text", "parts": ["Fruit?"]}),
            chat_gpt("b", "a", "assistant", {"content_type": "answer", "result": "Fig."}),
        ]
    )
    chat = {"conversation_id": "c", "title": "t", "current_node": "b", "mapping": nodes}
    path = lines(tmp_path / "conversations.jsonl", [chat])
    with pytest.raises(TruewardError, match="needs responses"):
        import_log("chatgpt", path)
    result = import_log("chatgpt", path, mapping=[("response", "content.result")])
    assert column(result, "response") == {"b": "Fig."}
    with pytest.raises(TruewardError, match=r"of its chatgpt records, which are content\.result, "):
        import_log("chatgpt", path, mapping=[("response", "content.results")])


def test_dify_inputs_and_users(tmp_path):
    ids = {"conversation_id": "c", "query": "", "feedback": None, "created_at": 1}
    inputs = {"question": "Fruit?", "member": "ann"}
    rows = [ids | {"id": "m1", "answer": "", "outputs": {"text": "Fig."}, "inputs": inputs}]
    rows.append(ids | {"id": "m2", "answer": "Plum.", "created_at": 2, "inputs": {"question": "?"}})
    path = lines(tmp_path / "m.jsonl", rows)
    paths = [("prompt", "inputs.question"), ("response", "outputs.text"), ("user", "inputs.member")]
    result = import_log("dify", path, mapping=paths)
    assert column(result, "response") == {"m1": "Fig.", "m2": "Plum."}
    assert column(result, "prompt")["m2"] == "user: Fruit?\nassistant: Fig.\nuser: ?"
    assert result.log["user_id"].null_count() == 0
    rows[1]["inputs"]["question"] = SENT
    path = lines(tmp_path / "n.jsonl", rows)
    result = import_log("dify", path, mapping=paths[:1])
    assert column(result, "prompt") == {"m2": "system: Be brief.\nuser: Fruit?"}


def test_fast_chat_states_and_published_battles(tmp_path):
    rows = fixture_records("fastchat.jsonl")
    for row in rows:
        row["request"] = {"messages": SENT, "session_hash": "h", "member": "ann"}
    path = lines(tmp_path / "log.jsonl", rows)
    paths = [("prompt", "request.messages"), ("session", "request.session_hash")]
    result = import_log("fastchat", path, mapping=[*paths, ("user", "request.member")])
    assert set(result.log["prompt"]) == {"system: Be brief.\nuser: Fruit?"}
    assert result.log["session_id"].n_unique() == 1
    battle = {"winner_model_a": 1, "winner_model_b": 0, "winner_tie": 0, "id": 7, "asked": "Fruit?"}
    battle |= {"answers": ["Fig.", "Plum."], "model_a": "x", "model_b": "y"}
    path = lines(tmp_path / "battles.jsonl", [battle])
    paths = [("prompt", "asked"), ("response_a", "answers[0]"), ("response_b", "answers[1]")]
    result = import_log("fastchat", path, mapping=paths)
    assert column(result, "response") == {"a": "Fig.", "b": "Plum."}
    with pytest.raises(UsageError, match="prompt, response_a, response_b, session, user"):
        import_log("fastchat", path, mapping=[("response", "answers[0]")])


def test_gradio_columns_with_any_name(tmp_path):
    path = tmp_path / "log.csv"
    names = ["Question [en]", "Style", "Answer v1.2", "who", "flag", "timestamp"]
    with path.open("w", newline="") as file:
        row = ["Fruit?", "short", "Fig.", "ann", "Good", "2026-03-02 09:00:00"]
        csv.writer(file).writerows([names, row])
    result = import_log("gradio", path, mapping=[("response", "Answer v1.2"), ("user", "who")])
    (row,) = result.log.iter_rows(named=True)
    assert (row["prompt"], row["response"], row["feedback"]) == ("Fruit?", "Fig.", 1.0)
    assert row["user_id"] is not None
    with pytest.raises(TruewardError, match=r"which are Answer v1\.2, "):
        import_log("gradio", path, mapping=[("response", "Answer v1")])


def test_json_in_a_cell_is_entered(tmp_path):
    row = {"feedback_rating_raw": "like", "ai_response": "?", "user_query": "?", "message_id": "m"}
    row |= {"feedback_source": "user", "detail": json.dumps({"q": "Fruit?", "a": "Fig."})}
    path = lines(tmp_path / "f.jsonl", [row])
    paths = [("prompt", "detail.q"), ("response", "detail.a")]
    result = import_log("dify", path, mapping=paths)
    assert column(result, "prompt") == {"m": "Fruit?"}
    assert column(result, "response") == {"m": "Fig."}
    with pytest.raises(TruewardError, match=r"which are detail\.q, "):
        import_log("dify", path, mapping=[("prompt", "detail.Q")])
