"""Inferences and feedback of TensorZero: episodes, functions, metrics, demonstrations."""

import json
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.product_exports import column, fixture, fixture_records, lines, signals

from trueward.core.errors import TruewardError, UsageError
from trueward.importers import import_log
from trueward.importers.traces import NOT_NAMED, UNKNOWN

RECORDS = fixture_records("tensorzero.jsonl")  # made by the models of the client, tensorzero 2026.6


def uuid7(number, second=0):
    milliseconds = 1_772_442_000_000 + second * 1000
    return str(UUID(int=(milliseconds << 80) | (7 << 76) | (2 << 62) | number))


def inference(number, output="Fig.", episode=900, function="fruit", asked="Fruit?", **more):
    messages = [{"role": "user", "content": [{"type": "text", "text": asked}]}]
    texts = {"input": {"messages": messages}, "output": [{"type": "text", "text": output}]}
    ids = {"id": uuid7(number, number), "episode_id": uuid7(episode)}
    return ids | {"function_name": function, "variant_name": "v", "tags": {}} | texts | more


def metric(number, target, value, name="user_feedback", **tags):
    ids = {"id": uuid7(number, number), "target_id": target, "tags": tags}
    return ids | {"metric_name": name, "value": value}


def imported(tmp_path, *records, **options):
    return import_log("tensorzero", lines(tmp_path / "rows.jsonl", records), **options)


def by_number(result, name):
    return {int(key[-4:], 16): value for key, value in column(result, name).items()}


def test_tables_of_clickhouse():
    maps = [("rating", "haiku_score"), ("thumbs", "exact_match")]
    result = fixture("tensorzero.jsonl", mapping=maps, scale=(1, 5))
    assert (result.source.name, result.info.export_scope.level) == ("tensorzero", "full")
    assert [(name[-1], *rest) for name, *rest in signals(result)] == [
        ("1", "thumbs_up", 1.0, "user"),  # the later one
        ("2", "rating", 0.5, "judge"),
        ("2", "rating", 4.0, "user"),  # of the episode: its last answer
        ("3", "comment", 1.0, "user"),
        ("3", "edit", 1.0, "user"),
        ("4", "thumbs_up", 1.0, "annotator"),  # given in the product's interface
    ]
    assert by_number(result, "prompt") == {
        1: "system: Be brief.\nuser: Frogs.",
        2: 'system: Be brief.\nuser: {"topic": "rain"}',
        3: "system: Be brief.\nuser: What is this?\n[image]",
        4: "system: Be brief.\nuser: Ann lives in Lima.",
    }
    assert by_number(result, "response")[4] == '{"city":"Lima"}'
    assert by_number(result, "turn") == {1: 0, 2: 1, 3: 0, 4: 0}
    assert by_number(result, "gold") == {1: None, 2: None, 3: None, 4: 1.0}
    assert by_number(result, "context.function")[4] == "extract"
    assert f"{result.log['time'][1]:%H:%M:%S}" == "09:01:00"  # of the id


def test_metrics_count_once_they_are_mapped():
    result = fixture("tensorzero.jsonl")
    assert result.summary["skipped"]["the metric 'haiku_score' is not mapped"] == 1
    assert by_number(result, "feedback") == {1: 1.0, 2: None, 3: None, 4: None}


def test_of_several_functions_in_an_episode_users_say_which_they_were_shown(tmp_path):
    rows = [inference(1, "fruit query", function="rewrite"), inference(2)]
    rows += [inference(3, "Plum.", 901), metric(4, uuid7(900), True), metric(5, uuid7(901), False)]
    result = imported(tmp_path, *rows)
    assert by_number(result, "feedback") == {3: 0.0}
    assert result.summary["skipped"] == {UNKNOWN: 2}
    assert "fruit (1), rewrite (1)" in result.notes[0]
    result = imported(tmp_path, *rows, shown=["fruit"])
    assert by_number(result, "feedback") == {2: 1.0, 3: 0.0}
    assert result.summary["skipped"] == {NOT_NAMED: 1}
    with pytest.raises(UsageError, match="its names are fruit, rewrite"):
        imported(tmp_path, *rows, shown=["fruits"])


def test_feedback_on_a_step_goes_to_no_other_text(tmp_path):
    rows = [inference(1, "fruit query", function="rewrite"), inference(2)]
    rows += [metric(3, uuid7(1, 1), False), metric(4, uuid7(2, 2), True)]
    result = imported(tmp_path, *rows, shown=["fruit"])
    assert by_number(result, "feedback") == {2: 1.0}
    assert "without an answer that users were shown" in result.tables.rejected["reason"][0]


def test_rendered_messages_of_a_joined_model_call_are_the_prompt(tmp_path):
    sent = [{"role": "user", "content": [{"type": "text", "text": "Name a fruit, Ann."}]}]
    more = {"system": "Be kind.", "input_messages": json.dumps(sent), "model_name": "tiny"}
    result = imported(tmp_path, inference(1, **more))
    assert by_number(result, "prompt") == {1: "system: Be kind.\nuser: Name a fruit, Ann."}
    assert by_number(result, "model") == {1: "tiny"}


def test_old_inputs_and_every_kind_of_block(tmp_path):
    blocks = [{"type": "thought", "text": "Hm."}, {"type": "text", "text": "Cold."}]
    asked = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [{"type": "tool_call", "name": "w", "arguments": "{}"}]},
        {"role": "user", "content": [{"type": "tool_result", "name": "w", "result": "2 degrees"}]},
        {"role": "user", "content": [{"type": "text", "value": {"place": "Lima"}}]},
        {"role": "user", "content": {"day": "today"}},
        {"role": "user", "content": [{"type": "raw_text", "value": '{"answer": 1}'}]},
    ]
    texts = {"input": {"system": {"name": "Al"}, "messages": asked}, "output": json.dumps(blocks)}
    result = imported(tmp_path, inference(1) | texts)
    assert by_number(result, "response") == {1: "Cold."}
    assert by_number(result, "prompt") == {
        1: 'system: {"name": "Al"}\nuser: Weather?\nassistant: \nuser: 2 degrees\n'
        'user: {"place": "Lima"}\nuser: {"day": "today"}\nuser: {"answer": 1}'
    }


def test_an_answer_that_is_json_stays_as_it_is(tmp_path):
    output = {"raw": None, "parsed": {"answer": "Lima"}}
    result = imported(tmp_path, inference(1) | {"output": output}, inference(2, '{"text": "x"}', 2))
    assert by_number(result, "response") == {1: '{"answer": "Lima"}', 2: '{"text": "x"}'}


def test_pages_of_the_api_have_the_demonstration_in_place_of_the_answer(tmp_path):
    shown = [{"type": "text", "text": "A fig."}]
    first = inference(1, "A pear.", dispreferred_outputs=[shown])
    same = inference(2, "Plum.", 901, dispreferred_outputs=[[{"type": "text", "text": "Plum."}]])
    for row in (first, same):
        row["inference_id"] = row.pop("id")
    broken = {"function_name": "fruit", "episode_id": "e", "variant_name": "v", "inference_id": "x"}
    feedback = {"feedback": [metric(3, uuid7(2, 2), 1) | {"type": "boolean"}]}
    pages = [{"inferences": [first, same, broken, None]}, feedback]
    result = import_log("auto", lines(tmp_path / "pages.jsonl", pages))
    assert by_number(result, "response") == {1: "A fig.", 2: "Plum."}
    assert result.log["feedback"].to_list() == [None, 1.0]
    (edit,) = result.tables.events.filter(channel="edit", value=1 - 3 / 7).iter_rows(named=True)
    assert edit["text"] == "A pear."
    assert result.summary["skipped"] == {"an answer without text, such as a tool call": 1}
    assert result.tables.rejected.height == 1


def test_tables_without_texts_say_which_table_to_join(tmp_path):
    whole = inference(1)
    texts = ("input", "output")
    ids = {k: v for k, v in whole.items() if k not in texts}
    data = {k: whole[k] for k in ("id", *texts)} | {"inference_params": {}, "created_at": None}
    with pytest.raises(TruewardError, match="join chat_inferences with chat_inference_data"):
        imported(tmp_path, ids, data)
    joined = ids | data
    assert imported(tmp_path, joined).log.height == 1


def test_parquet_with_maps(tmp_path):
    rows = [inference(1, tags={"user_id": "ann"}), inference(2, episode=901, tags={"user_id": "b"})]
    tags = pa.array([list(r["tags"].items()) for r in rows], pa.map_(pa.string(), pa.string()))
    names = ("id", "episode_id", "function_name", "variant_name")
    table = {name: [r[name] for r in rows] for name in names} | {"tags": tags}
    table |= {name: [json.dumps(r[name]) for r in rows] for name in ("input", "output")}
    path = tmp_path / "ChatInference.parquet"
    pq.write_table(pa.table(table), path)
    result = import_log("auto", path)
    assert by_number(result, "response") == {1: "Fig.", 2: "Fig."}
    assert result.log["user_id"].n_unique() == 2


def test_maps_of_a_csv_of_clickhouse(tmp_path):
    rows = [
        inference(1, tags="{'user_id':'ann','chat':'c'}"),
        inference(2, episode=901, tags="{'x"),
    ]
    result = imported(tmp_path, *rows)
    assert result.log["user_id"].null_count() == 1


def test_ids_of_users_at_another_tag(tmp_path):
    row = inference(1, tags={"member": "ann", "chat": "c"})
    result = imported(tmp_path, row, mapping=[("user", "tags.member"), ("session", "tags.chat")])
    assert result.log["user_id"].null_count() == 0
    with pytest.raises(TruewardError, match=r"which are tags\.member"):
        imported(tmp_path, row, mapping=[("user", "tags.members")])


def test_evaluations_and_other_tables_are_skipped_by_reason(tmp_path):
    run = {"tensorzero::evaluation_run_id": "r"}
    call = {"inference_id": "i", "model_provider_name": "p", "model_name": "m", "raw_request": "{}"}
    human = {"metric_name": "m", "datapoint_id": "d", "output": "o", "value": "1"}
    stray = {"id": uuid7(9), "inference_id": uuid7(8), "value": "[]", "tags": {}}
    result = imported(tmp_path, inference(1), inference(2, tags=run), call, human, stray)
    assert list(result.summary["skipped"].values()) == [1, 1, 1, 1]
    assert result.log.height == 1


def test_direct_calls_of_models_are_shown(tmp_path):
    direct = inference(1, function="tensorzero::default", variant_name="acme::tiny")
    assert by_number(imported(tmp_path, direct), "model") == {1: "acme::tiny"}


def test_two_outputs_of_one_id_and_feedback_without_an_inference(tmp_path):
    rows = [
        inference(1),
        inference(1, "Plum."),
        inference(2, episode=901),
        inference(2, episode=901),
    ]
    result = imported(tmp_path, *rows, metric(3, uuid7(77), True), metric(4, uuid7(2, 2), True))
    assert by_number(result, "feedback") == {2: 1.0}
    assert sorted(result.tables.rejected["line"]) == [1, 2, 5]


def test_a_file_cut_off_and_a_wrong_product(tmp_path):
    text = "".join(json.dumps(r) + "\n" for r in RECORDS)
    path = tmp_path / "t.jsonl"
    path.write_text(text[:-40])
    assert import_log("auto", path).tables.rejected.height == 1
    with pytest.raises(TruewardError, match="but of tensorzero"):
        import_log("langsmith", path)


def test_no_text_at_all(tmp_path):
    with pytest.raises(TruewardError, match="an answer without text"):
        imported(tmp_path, inference(1) | {"output": []})
