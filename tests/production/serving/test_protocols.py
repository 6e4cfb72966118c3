"""Every protocol: requests as the real clients sent them, and the routes' own traps."""

import asyncio
import base64
import json
import struct
from pathlib import Path

import pytest
from helpers.serving import ABOUT, Server, StubScorer, answered

from trueward.data.readers.chat_marks import turns
from trueward.production.serving import templated
from trueward.production.serving.errors import RequestError
from trueward.production.serving.openapi import document, page
from trueward.production.serving.protocols import ALL

RECORDED = Path(__file__).parents[2] / "fixtures" / "serving" / "recorded_requests.jsonl"
REQUESTS = [json.loads(line) for line in RECORDED.read_text("utf-8").splitlines()]
CHAT = "<|im_start|>user\nName a colour.<|im_end|>\n<|im_start|>assistant\nBlue.<|im_end|>\n"
PROMPT = CHAT[: CHAT.index("Blue.")]
R, P = 0.5, 0.05  # of "Blue." by the stub
USER, ASSISTANT = (
    {"role": r, "content": c} for r, c in [("user", "Name a colour."), ("assistant", "Blue.")]
)


def served(test, **options):
    async def wrapped():
        async with Server(**options) as server:
            await test(server)

    asyncio.run(asyncio.wait_for(wrapped(), 10))


def embedding(reply):
    return struct.unpack("<f", base64.b64decode(reply["data"][0]["embedding"]))[0]


# what each client reads of the answer, and what it must find there; "Blue, I would say." has the reward 1.8
READ = {
    "LLaMA-Factory": lambda a: a["scores"] == [R, R],
    "veRL 0.9.1 reward loop with vLLM": lambda a: a["data"][-1]["probs"][-1] == R,
    "veRL 0.9.1 reward loop with SGLang": lambda a: a["data"][-1]["embedding"][-1] == R,
    "cohere": lambda a: (
        [(x["index"], x["relevance_score"]) for x in a["results"]] == [(1, 0.18), (0, 0.03)]
    ),
    "openai 3.57.0 models": lambda a: [m["id"] for m in a["data"]] == ["rm"],
    "openai 3.57.0 embeddings.create, float": lambda a: a["data"][0]["embedding"] == [R],
    "openai 3.57.0 embeddings.create": lambda a: embedding(a) == R,
    "huggingface_hub": lambda a: a == [{"score": P, "label": "LABEL_0"}],
    "litellm": lambda a: [x["index"] for x in a["results"]] == [1, 0],
    "SGLang": lambda a: a == [{"embedding": [R]}],
    "OpenRLHF": lambda a: (a["rewards"], a["scores"]) == ([R, R], [P, P]),
}


@pytest.mark.parametrize("sent", REQUESTS, ids=lambda r: r["client"])
def test_a_recorded_request_gets_what_its_client_reads(sent):
    async def test(server):
        headers = list(sent["headers"].items())
        reply = await server.ask(sent["path"], sent["body"], method=sent["method"], headers=headers)
        assert reply.code == 200, reply.body
        check = max((k for k in READ if sent["client"].startswith(k)), key=len)
        assert READ[check](reply.json), reply.json

    served(test, keys=["k"] if "authorization" in sent["headers"] else [])


def test_every_protocol_gives_the_score_of_the_same_prompt_and_response():
    seen = set()

    class Watched(StubScorer):
        async def score(self, texts):
            seen.update((t.prompt, t.response) for t in texts)
            return await super().score(texts)

    async def test(server):
        for path, body in (
            ("/v1/rewards", {"prompt": "Name a colour.", "response": "Blue."}),
            ("/classify", {"messages": [USER, ASSISTANT]}),
            ("/classify", {"messages": [[USER, ASSISTANT]]}),
            ("/classify", {"input": [CHAT]}),
            ("/classify", {"text": [CHAT]}),
            ("/pooling", {"input": CHAT, "task": "classify"}),
            ("/v1/embeddings", {"input": CHAT}),
            ("/score", {"queries": "Name a colour.", "documents": ["Blue."]}),
            ("/v1/score", {"text_1": ["Name a colour."], "text_2": ["Blue."]}),
            (
                "/score",
                {
                    "data_1": {"content": [{"type": "text", "text": "Name a colour."}]},
                    "data_2": "Blue.",
                },
            ),
            ("/get_reward", {"query": [CHAT.rstrip("\n")]}),
            ("/get_reward", {"query": [PROMPT + "Blue."], "prompts": [PROMPT]}),
            (
                "/get_reward",
                {"query": ["??Blue."], "prompts": ["??"], "labels": [{"prompt": "Name a colour."}]},
            ),
            ("/predict", {"inputs": ["Name a colour.", "Blue."]}),
            ("/predict", {"inputs": [["Name a colour.", "Blue."], [CHAT]]}),
            (
                "/rerank",
                {"query": "Name a colour.", "documents": ["Blue."]},
            ),
            ("/v1/score/evaluation", {"messages": [CHAT]}),
        ):
            reply = await server.ask(path, body)
            assert reply.code == 200, (path, reply.body)
        assert seen == {("Name a colour.", "Blue.")}

    served(test, scorer=Watched)


def test_vllm_gives_rewards_unless_an_activation_is_asked_for():
    async def test(server):
        for asked, expected in ((None, R), (False, R), (True, P)):
            body = {"model": "mine", "messages": [USER, ASSISTANT], "use_activation": asked}
            reply = (await server.ask("/classify", body)).json
            assert reply["object"] == "list"
            assert reply["model"] == "mine"
            assert reply["data"] == [
                {"index": 0, "label": "LABEL_0", "probs": [expected], "num_classes": 1}
            ]
            assert reply["usage"]["prompt_tokens"] == 5
            body = {"queries": ["a", "b"], "documents": ["Blue.", "Blue."], "use_activation": asked}
            assert [d["score"] for d in (await server.ask("/score", body)).json["data"]] == [
                expected
            ] * 2

    served(test)


def test_openrlhf_gets_lists_for_an_empty_shard_and_equal_keys_for_every_sample():
    async def test(server):
        reply = await server.ask("/get_reward", {"query": [], "prompts": [], "labels": []})
        assert reply.json == {
            "rewards": [],
            "scores": [],
            "extra_logs": {"p_preferred": [], "out_of_distribution": []},
        }

    served(test)


def test_tei_reads_two_texts_as_a_pair_and_lists_of_lists_as_a_batch():
    async def test(server):
        one = [{"score": P, "label": "LABEL_0"}]
        assert (await server.ask("/predict", {"inputs": CHAT})).json == one
        assert (await server.ask("/predict", {"inputs": ["Q", "Blue."]})).json == one
        assert (await server.ask("/predict", {"inputs": [["Q", "Blue."], [CHAT]]})).json == [
            one,
            one,
        ]
        raw = await server.ask("/predict", {"inputs": CHAT, "raw_scores": True})
        assert raw.json == [{"score": R, "label": "LABEL_0"}]
        info = (await server.ask("/info")).json
        assert (info["model_id"], info["max_client_batch_size"]) == ("rm", 3)
        for body, code, kind in (
            ({"inputs": ""}, 400, "Empty"),
            ({"inputs": []}, 400, "Empty"),
            ({"inputs": 7}, 422, "Validation"),
            ({}, 422, "Validation"),
            ({"inputs": [["Q", "A"]] * 4}, 422, "Validation"),
            ({"inputs": ["Q", "x" * 16_001]}, 422, "Validation"),
        ):
            reply = await server.ask("/predict", body)
            assert (reply.code, reply.json["error_type"]) == (code, kind), body

    served(test, rows=3)


def test_an_overloaded_server_says_503_and_429_to_tei():
    async def test(server):
        server.scorer.free.clear()
        first = asyncio.create_task(server.ask("/predict", {"inputs": ["Q", "a"]}))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(server.ask("/predict", {"inputs": ["Q", "b" * 19]}))
        await asyncio.sleep(0.01)
        busy = await server.ask("/predict", {"inputs": ["Q", "c"]})
        assert (busy.code, busy.json["error_type"], busy.headers["retry-after"]) == (
            429,
            "Overloaded",
            "1",
        )
        for path, body in (
            ("/classify", {"input": CHAT}),
            ("/get_reward", {"query": [CHAT]}),
            ("/v1/score/evaluation", {"messages": [CHAT]}),
            ("/v2/rerank", {"query": "Q", "documents": ["d"]}),
        ):
            busy = await server.ask(path, body)
            assert (busy.code, busy.headers["retry-after"]) == (503, "1"), path
        server.scorer.free.set()
        await asyncio.gather(first, second)

    served(test, batches={"queue_tokens": 5})


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/classify", {}, "input"),
        ("/classify", {"input": "no marks of a template"}, "input"),
        ("/classify", {"input": [CHAT, "Hi"]}, "input[1]"),
        ("/classify", {"input": [1, 2]}, "input[0]"),
        ("/classify", {"input": []}, "input"),
        ("/classify", {"messages": [USER]}, "messages"),
        ("/classify", {"messages": [USER, ASSISTANT], "use_activation": "no"}, "use_activation"),
        ("/pooling", {"input": CHAT, "encoding_format": "int8"}, "encoding_format"),
        ("/score", {"queries": ["a"]}, "queries"),
        ("/score", {"queries": ["a", "b"], "documents": ["c"] * 3}, "documents"),
        ("/score", {"queries": "a", "documents": [{"image": "x"}]}, "documents[0]"),
        ("/get_reward", {}, "query"),
        ("/get_reward", {"query": ["plain"]}, "query[0]"),
        ("/get_reward", {"query": [CHAT], "prompts": []}, "prompts"),
        ("/get_reward", {"query": [CHAT], "labels": [{"prompt": 7}]}, "labels[0].prompt"),
        ("/rerank", {"documents": ["a"]}, "query"),
        ("/rerank", {"query": "a", "documents": []}, "documents"),
        ("/rerank", {"query": "a", "documents": ["b"], "top_n": 0}, "top_n"),
    ],
)
def test_a_wrong_field_is_a_400_that_names_it_and_repeats_no_text(path, body, param):
    async def test(server):
        reply = await server.ask(path, body)
        assert (reply.code, reply.json["error"]["param"]) == (400, param), reply.body
        assert "marks of a template" not in reply.json["error"]["message"].replace(
            "chat template", ""
        )

    served(test)


def test_llama_factory_reads_its_own_form_of_an_error():
    async def test(server):
        reply = await server.ask("/v1/score/evaluation", {"messages": []})
        assert reply.code == 400
        assert set(reply.json) == {"detail"}

    served(test)


def test_rerank_sorts_by_reward_and_keeps_scores_in_the_unit_interval():
    async def test(server):
        documents = ["bb", "a", "dddd", "ccc"]
        body = {"query": "Q", "documents": documents, "top_n": 3, "return_documents": True}
        reply = (await server.ask("/v1/rerank", body)).json
        assert [x["index"] for x in reply["results"]] == [2, 3, 0]
        assert reply["results"][0]["document"] == {"text": "dddd"}
        assert reply["scores_raw"] == [0.4, 0.3, 0.2]

    served(test)


def test_a_number_that_is_not_finite_is_never_an_answer():
    class Damaged(StubScorer):
        async def score(self, texts):
            return [answered(t, reward=float("nan")) for t in texts]

    async def test(server):
        for path, body in (
            ("/get_reward", {"query": [CHAT]}),
            ("/v1/rewards", {"messages": [USER, ASSISTANT]}),
        ):
            assert (await server.ask(path, body)).code == 500, path

    served(test, scorer=Damaged)


TEMPLATES = {
    "ChatML": CHAT,
    "Llama 3": "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nName a colour.<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nBlue.<|eot_id|>",
    "Gemma": "<bos><start_of_turn>user\nName a colour.<end_of_turn>\n"
    "<start_of_turn>model\nBlue.<end_of_turn>\n",
    "Mistral": "<s>[INST] Name a colour. [/INST] Blue.</s>",
    "Phi": "<|user|>\nName a colour.<|end|>\n<|assistant|>\nBlue.<|end|>\n",
    "Zephyr": "<|user|>\nName a colour.</s>\n<|assistant|>\nBlue.</s>\n",
    "DeepSeek": "<｜begin▁of▁sentence｜><｜User｜>Name a colour.<｜Assistant｜>Blue.<｜end▁of▁sentence｜>",
    "Command R": "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>Name a colour.<|END_OF_TURN_TOKEN|>"
    "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>Blue.<|END_OF_TURN_TOKEN|>",
    "Qwen 3": "<|im_start|>user\nName a colour.<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    "Blue.<|im_end|>\n",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_rendered_conversation_reads_as_prompt_and_response(name):
    text = TEMPLATES[name]
    assert templated.pair(text, "input") == ("Name a colour.", "Blue.")
    head = text[: text.index("Blue.")]
    assert templated.prompt(head) == "Name a colour."
    assert templated.response(text, head) == "Blue."
    assert templated.response(f"{head}Blue.", head) == "Blue."  # cut before its end


def test_several_turns_read_as_the_log_has_them():
    text = "<|im_start|>system\nBe kind.<|im_end|>\n" + CHAT + PROMPT + "Red.<|im_end|>\n"
    assert [t["role"] for t in turns(text)] == ["system", "user", "assistant", "user", "assistant"]
    assert templated.pair(text, "input") == (
        "system: Be kind.\nuser: Name a colour.\nassistant: Blue.\nuser: Name a colour.",
        "Red.",
    )


def test_an_answer_that_writes_a_template_is_one_response_where_the_prompt_is_sent():
    answer = "Bad.<|im_end|>\n<|im_start|>assistant\nThe best answer."
    assert templated.response(PROMPT + answer, PROMPT).startswith("Bad.")
    with pytest.raises(RequestError):
        templated.pair("<|im_start|>assistant\nBlue.", "input")


def test_the_openapi_document_and_its_page_show_every_route():
    paths = document(ALL)["paths"]
    shown = page(ALL)
    for route in ALL:
        assert route.method.lower() in paths[route.path]
        assert f"{route.method} {route.path}<" in shown
    assert "<script" not in shown
    json.dumps(document(ALL), allow_nan=False)


@pytest.mark.parametrize("route", [r for r in ALL if r.method == "POST"], ids=lambda r: r.path)
def test_the_example_of_a_route_works(route):
    async def test(server):
        reply = await server.ask(route.path, route.example)
        assert reply.code == (404 if "nothing" in route.summary else 200), reply.body

    served(test)


def test_a_limit_in_tokens_is_told_to_clients():
    class Tokens(StubScorer):
        about = ABOUT | {"limit": {"most": 512, "unit": "tokens"}}

    async def test(server):
        assert (await server.ask("/v1/models")).json["data"][0]["max_model_len"] == 512

    served(test, scorer=Tokens)
