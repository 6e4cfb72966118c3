"""Prompts and answers are what the model saw and what users read, in every dialect and every source."""

from __future__ import annotations

import json

import pytest
from helpers.product_exports import FIXTURES, column, lines

from trueward.core.errors import TruewardError
from trueward.importers import import_log
from trueward.importers.contract import InvalidRecord, NoAnswer
from trueward.importers.messages import answer_text, read_turn, to_messages

CASES = FIXTURES.parent / "cases"

WORDS = [
    record
    for record in map(json.loads, (CASES / "langfuse_words.jsonl").read_text("utf-8").splitlines())
    if "string_value" in record
]


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def system(text):
    return {"role": "system", "content": text}


REASONING = {"type": "reasoning", "summary": []}
CALL = {"type": "function_call", "name": "weather", "arguments": "{}"}


def output(text, kind="output_text"):
    parts = [{"type": kind, kind.removeprefix("output_"): text}]
    return {"type": "message", "role": "assistant", "content": parts}


@pytest.mark.parametrize(
    ("answered", "text"),
    [
        ([REASONING, output("Arr!")], "Arr!"),
        ({"output": [REASONING, output("Arr!")]}, "Arr!"),
        ([output("One."), CALL, output("Two.")], "One.\nTwo."),
        ({"output": [output("No.", "refusal")]}, "No."),
        ({"role": "assistant", "content": None, "refusal": "No."}, "No."),
        ({"choices": [{"message": {"content": None, "refusal": "No."}}]}, "No."),
        ({"choices": [{"text": "Old."}]}, "Old."),
        ({"candidates": [{"content": {"parts": [{"text": "a"}, {"text": "b"}]}}]}, "a\nb"),
        (
            {
                "candidates": [
                    {"content": {"parts": [{"text": "hm", "thought": True}, {"text": "b"}]}}
                ]
            },
            "b",
        ),
        ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "A"}], "A"),
        ({"content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]}, "A\nB"),
        (
            {"content": [{"type": "text", "text": "It is "}, {"type": "text", "text": "Lima"}]},
            "It is Lima",
        ),
        ({"generations": [[{"text": "Rain"}]]}, "Rain"),
        ({"messages": [{"type": "human", "content": "q"}, {"type": "ai", "content": "z"}]}, "z"),
        ({"lc": 1, "id": ["langchain", "AIMessage"], "kwargs": {"content": "z"}}, "z"),
        ({"message": {"role": "assistant", "content": "Ollama."}}, "Ollama."),
        ({"answer": "Santiago.", "sources": []}, "Santiago."),
        ({"outputs": {"output": "x"}}, "x"),
        ("Lima.", "Lima."),
    ],
)
def test_answers(answered, text):
    assert answer_text(answered) == text
    assert answer_text(json.dumps(answered)) == text


@pytest.mark.parametrize(
    "text", ['{"name": "Gale"}', '["Gale", "Breeze"]', '{"query": "x"}', '{"result": 5}']
)
def test_answers_that_are_json_of_the_application_stay_text(text):
    assert answer_text(text) == text


@pytest.mark.parametrize(
    "answered",
    [[REASONING, CALL], {"role": "assistant", "tool_calls": [{}]}, {"messages": [user("q")]}, {}],
)
def test_calls_of_tools_and_chats_without_an_answer_have_none(answered):
    with pytest.raises(NoAnswer):
        answer_text(answered)


IMAGE = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}


@pytest.mark.parametrize(
    ("asked", "messages"),
    [
        ({"args": ["Peru?"], "kwargs": {}}, [user("Peru?")]),
        ({"args": [], "kwargs": {"question": "Peru?", "k": 3}}, [user("Peru?")]),
        ({"args": ["Peru?", {"temperature": 1}], "kwargs": {}}, [user("Peru?")]),
        ({"args": ["u-1", [user("Peru?")]], "kwargs": {}}, [user("Peru?")]),
        (
            {"question": "b?", "chat_history": [["a?", "A."]]},
            [user("a?"), assistant("A."), user("b?")],
        ),
        ({"instructions": "S", "input": "Bye?"}, [system("S"), user("Bye?")]),
        (
            {
                "instructions": "S",
                "input": [{"role": "user", "content": [{"type": "input_text", "text": "H"}]}],
            },
            [system("S"), user("H")],
        ),
        (
            {"system": [{"type": "text", "text": "S"}], "messages": [user("H")]},
            [system("S"), user("H")],
        ),
        (
            {
                "systemInstruction": {"parts": [{"text": "S"}]},
                "contents": [
                    {
                        "role": "user",
                        "parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png"}}],
                    },
                    {"role": "model", "parts": [{"text": "b"}]},
                ],
            },
            [system("S"), user("a\n[image]"), assistant("b")],
        ),
        ({"contents": "H", "config": {"system_instruction": "S"}}, [system("S"), user("H")]),
        ([{"role": "user", "content": [IMAGE]}], [user("[image]")]),
        ([{"type": "text", "text": "a"}, IMAGE], [user("a\n[image]")]),
        (
            [{"role": "user", "content": [{"type": "input_audio"}, {"type": "file"}]}],
            [user("[audio]\n[file]")],
        ),
        (
            [{"role": "user", "parts": [{"type": "blob", "modality": "image", "content": "AAAA"}]}],
            [user("[image]")],
        ),
        (
            [user("q"), REASONING, CALL, {"type": "function_call_output", "output": "rain"}],
            [user("q"), {"role": "tool", "content": "rain"}],
        ),
        (
            [{"role": "tool", "parts": [{"type": "tool_call_response", "response": {"t": 1}}]}],
            [{"role": "tool", "content": '{"t": 1}'}],
        ),
        ({"inputs": {"input": "q"}, "tags": [], "kwargs": {}}, [user("q")]),
    ],
)
def test_prompts(asked, messages):
    assert to_messages(asked) == messages
    assert to_messages(json.dumps(asked)) == messages


@pytest.mark.parametrize("asked", [{"city": "Lima"}, {"args": ["a", "b"], "kwargs": {}}, {}])
def test_prompts_at_an_unknown_place_say_how_to_name_it(asked):
    with pytest.raises(InvalidRecord, match="--map prompt=PATH"):
        to_messages(asked)


def test_a_prompt_is_all_that_the_model_saw():
    calls = {"role": "assistant", "content": "", "tool_calls": [{}]}
    rain = {"role": "tool", "content": "rain"}
    new = [calls, rain, assistant("It rains.")]
    seen = [user("Weather?"), assistant(""), rain]
    assert read_turn("Weather?", new) == (seen, "It rains.")
    assert read_turn({"messages": [user("Weather?")]}, {"messages": [user("Weather?"), *new]}) == (
        seen,
        "It rains.",
    )
    assert read_turn(None, {"messages": [user("Weather?"), *new]}) == (seen, "It rains.")


# the cases of Langfuse


def test_langfuse_arguments_of_decorated_functions():
    result = import_log("auto", CASES / "langfuse_observe_args.jsonl")
    assert result.log.select("prompt", "response", "feedback").rows() == [
        ("Capital of Peru?", "Lima.", 1.0),
        ("Capital of Chile?", "Santiago.", 0.0),
    ]


def test_langfuse_bodies_of_the_responses_api():
    result = import_log("auto", CASES / "langfuse_responses_api.jsonl")
    pirate = "system: Answer like a pirate.\nuser: "
    assert result.log.select("prompt", "response", "feedback").rows() == [
        (f"{pirate}Hello?", "Arr!", 1.0),
        (f"{pirate}Bye?", "Farewell, matey.", None),
    ]


def test_langfuse_refusals_parts_and_images():
    result = import_log("auto", CASES / "langfuse_refusal_parts.jsonl")
    assert column(result, "response")["g1"] == "I cannot help with that."
    assert column(result, "feedback") == {"g1": 0.0, "g2": None, "g3": 1.0, "g4": None}
    assert column(result, "prompt") == {
        "g1": "Help me do harm",
        "g2": "First part.\nSecond part.\n[image]",
        "g3": "[image]",
        "g4": "user: Weather?\nassistant: \ntool: rain",
    }
    assert result.tables.rejected.height == 0


def test_langfuse_words_of_feedback():
    result = import_log("auto", CASES / "langfuse_words.jsonl")
    words = {s["observation_id"] or s["trace_id"]: s["string_value"] for s in WORDS}
    good = {"👍", "thumbs up", "Upvote", "helpful", "Like"}
    given = {name.replace("g", "t"): label for name, label in column(result, "feedback").items()}
    assert given == {name.replace("g", "t"): float(word in good) for name, word in words.items()}
    assert len(given) == 8


# the same bodies in every source


def langfuse(asked, answered):
    observation = {
        "id": "a",
        "trace_id": "t",
        "type": "GENERATION",
        "input": asked,
        "output": answered,
    }
    return {**observation, "start_time": "2026-03-02T09:00:00Z"}


def phoenix(asked, answered):
    attributes = {"input.value": json.dumps(asked), "output.value": json.dumps(answered)}
    context = {"span_id": "a", "trace_id": "t"}
    return {"context": context, "span_kind": "LLM", "attributes": attributes, "start_time": None}


def otel(asked, answered):
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": asked}
    attributes["gen_ai.output.messages"] = answered
    return {"trace_id": "t", "span_id": "a", "attributes": attributes}


def helicone(asked, answered):
    return {"request_id": "a", "response_id": "r", "request_properties": {}} | {
        "request_body": asked,
        "response_body": answered,
    }


def langsmith(asked, answered):
    return {"id": "a", "run_type": "llm", "trace_id": "a", "inputs": asked, "outputs": answered}


SOURCES = [langfuse, phoenix, otel, helicone, langsmith]
GEMINI = {
    "contents": [
        {"role": "user", "parts": [{"text": "Hi"}, {"inlineData": {"mimeType": "image/png"}}]}
    ]
}
REFUSAL = {"choices": [{"message": {"role": "assistant", "content": None, "refusal": "No."}}]}


@pytest.mark.parametrize("record", SOURCES)
@pytest.mark.parametrize(
    ("asked", "answered", "expected"),
    [
        (
            {"instructions": "S", "input": "Hi"},
            {"output": [REASONING, output("Arr!")]},
            ("S", "Hi", "Arr!"),
        ),
        (
            {"messages": [system("S"), {"role": "user", "content": [IMAGE]}]},
            REFUSAL,
            ("S", "[image]", "No."),
        ),
        (
            {**GEMINI, "systemInstruction": {"parts": [{"text": "S"}]}},
            {
                "candidates": [
                    {"content": {"parts": [{"text": "A"}, {"text": "B"}], "role": "model"}}
                ]
            },
            ("S", "Hi\n[image]", "A\nB"),
        ),
    ],
    ids=["responses", "refusal", "gemini"],
)
def test_bodies_of_providers_are_read_in_every_source(record, asked, answered, expected, tmp_path):
    result = import_log(record.__name__, lines(tmp_path / "log.jsonl", [record(asked, answered)]))
    instructions, prompt, answer = expected
    assert result.log.select("prompt", "response").rows() == [
        (f"system: {instructions}\nuser: {prompt}", answer)
    ]


PLACES = {
    langfuse: ("input.{}", "output.{}"),
    phoenix: ("attributes.input.value.{}", "output.value.{}"),
    otel: ("attributes.gen_ai.input.messages.{}", "attributes.gen_ai.output.messages.{}"),
    helicone: ("request_body.{}", "response_body.{}"),
    langsmith: ("inputs.{}", "outputs.{}"),
}


@pytest.mark.parametrize("record", SOURCES)
def test_texts_at_a_place_that_only_the_user_knows_are_mapped_in_every_source(record, tmp_path):
    given = record({"args": ["Peru?", "u-7"], "kwargs": {}}, {"final": [{"said": "Lima."}]})
    path = lines(tmp_path / "log.jsonl", [given])
    with pytest.raises(TruewardError):
        import_log(record.__name__, path)
    asked, answered = PLACES[record]
    mapping = [("prompt", asked.format("args[0]")), ("response", answered.format("final[-1].said"))]
    mapping.append(("user", asked.format("args[1]")))
    result = import_log(record.__name__, path, mapping=mapping)
    assert result.log.select("prompt", "response").rows() == [("Peru?", "Lima.")]
    assert result.log["user_id"].null_count() == 0
