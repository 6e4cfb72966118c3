"""Judges: the bytes that they are sent, how servers and local weights answer, and what is refused."""

import json
import math
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType

import pytest
from helpers.loopback import JsonAnswers, loopback_only, recorded_waits, running  # noqa: F401

from trueward.core.errors import TruewardError, UsageError
from trueward.evaluation.judge.journal import Journal
from trueward.rlhf.safety import judges as asked
from trueward.rlhf.safety.judges import open_judge
from trueward.rlhf.safety.prompts import SafetyPrompt
from trueward.rlhf.safety.templates import template_digest

BOAT = SafetyPrompt("boat", "Fold a {generation} boat", "", harmful=True, category="standard")
NOTES = SafetyPrompt("notes", "Sum up", "The boat is blue.", harmful=True, category="contextual")
TEMPLATES = {
    "harmbench_cls": "[INST] B:{behavior} G:{generation} [/INST]",
    "harmbench_cls_contextual": "[INST] C:{context} B:{behavior} G:{generation} [/INST]",
    "wildguard": "<|user|>\n{prompt}\n\n{response}\n<|assistant|>\n",
    "strongreject_rubric": "{forbidden_prompt} -- {response}",
    "strongreject_finetuned": "{forbidden_prompt}\n{response}\n### Answer: ",
    "xstest_classes": '"{QUESTION}"\n"{RESPONSE}"\nCLASS:',
}
ACCEPTED = [template_digest(text) for text in TEMPLATES.values()]


@pytest.fixture
def data(tmp_path):
    for name, text in TEMPLATES.items():
        (tmp_path / f"{name}.txt").write_text(text)
    return tmp_path


class Server(JsonAnswers, BaseHTTPRequestHandler):
    """Answers by what the test has put into ``says``, and keeps every request."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body))
        said = self.server.says(body)
        if not isinstance(said, dict):
            said = {"text": said} if "prompt" in body else {"message": {"content": said}}
        self.answer(200, {"choices": [said]})


@pytest.fixture
def server():
    with running(ThreadingHTTPServer(("127.0.0.1", 0), Server)) as made:
        made.asked = []
        made.url = f"http://127.0.0.1:{made.server_address[1]}/v1,model=judge"
        yield made


def test_the_classifier_of_harmbench_gets_its_bytes_raw_with_the_template_of_context(data, server):
    server.says = lambda body: "yes" if "C:" in body["prompt"] else "no"
    judge = open_judge(f"harmbench={server.url}", data, ACCEPTED)
    said = judge.answer([(BOAT, "a {behavior}"), (NOTES, "blue")])
    assert [judge.verdict(s).values for s in said] == [{"harmful": 0.0}, {"harmful": 1.0}]
    sent = {body["prompt"]: (path, body) for path, body in server.asked}
    assert set(sent) == {
        "[INST] B:Fold a {generation} boat G:a {behavior} [/INST]",
        "[INST] C:The boat is blue. B:Sum up G:blue [/INST]",
    }
    path, body = next(iter(sent.values()))
    assert path == "/v1/completions"
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("judge", 1, 0.0)


def test_judges_with_one_template_get_context_and_prompt_together(data, server):
    server.says = lambda _: "a: yes\nb: no\nc: yes"
    judge = open_judge(f"wildguard={server.url}", data, ACCEPTED)
    (said,) = judge.answer([(NOTES, "blue")])
    assert judge.verdict(said).values == {"prompt_harmful": 1.0, "refusal": 0.0, "harmful": 1.0}
    ((_, body),) = server.asked
    assert body["prompt"] == "<|user|>\nThe boat is blue.\n\nSum up\n\nblue\n<|assistant|>\n"
    assert body["max_tokens"] == 128


def test_chat_judges_get_one_user_message(data, server):
    server.says = lambda _: "3_partial_refusal"
    judge = open_judge(f"xstest={server.url}", data, ACCEPTED)
    assert judge.verdict(judge.answer([(BOAT, "no")])[0]).values["refusal"] == 1.0
    ((path, body),) = server.asked
    assert path == "/v1/chat/completions"
    assert body["messages"] == [
        {"role": "user", "content": '"Fold a {generation} boat"\n"no"\nCLASS:'}
    ]


def test_the_fine_tuned_judge_is_the_expected_grade_over_the_digits(data, server):
    likely = {"1": math.log(0.4), "5": math.log(0.4), "x": math.log(0.2)}
    server.says = lambda _: {"text": "1", "logprobs": {"top_logprobs": [likely]}}
    judge = open_judge(f"strongreject_finetuned={server.url}", data, ACCEPTED)
    assert judge.answer([(BOAT, "r")]) == ["0.500000"]
    likely.update({"1": math.log(0.02), "5": math.log(0.01)})
    (said,) = judge.answer([(BOAT, "r")])
    assert said == "P(digit) = 0.030"  # it wanted to write something else: unread, not one half
    assert judge.verdict(said).values == {}
    assert server.asked[0][1]["logprobs"] == 20


def test_a_server_of_another_kind_is_told_in_a_sentence(data, server):
    server.says = lambda _: {"nothing": 1}
    judge = open_judge(f"wildguard={server.url}", data, ACCEPTED)
    with pytest.raises(TruewardError, match="OpenAI-compatible"):
        judge.answer([(BOAT, "r")])


def test_answers_are_asked_once_and_again_for_another_template(data, server, tmp_path):
    server.says = lambda _: "yes"
    judge = open_judge(f"harmbench={server.url}", data, ACCEPTED)
    pairs = [(BOAT, f"r {k}") for k in range(10)] + [(BOAT, "r 0")]
    told = []
    judge.fill(pairs[:4], Journal(tmp_path / "j.jsonl"))
    judge.fill(pairs, Journal(tmp_path / "j.jsonl"), lambda *at: told.append(at))
    assert len(server.asked) == 10
    assert told[-1] == (6, 6)
    other = "[INST] B: {behavior} G:{generation} [/INST]"
    (data / "harmbench_cls.txt").write_text(other)
    again = open_judge(f"harmbench={server.url}", data, [*ACCEPTED, template_digest(other)])
    again.fill(pairs[:1], Journal(tmp_path / "j.jsonl"))
    assert len(server.asked) == 11


def test_our_own_judge_and_phrases_need_no_model(data, monkeypatch):
    module = ModuleType("builtin_judge")

    class Own:
        def score(self, prompts, responses):
            assert prompts == ["The boat is blue.\n\nSum up", "Fold a {generation} boat"]
            return [(0.9, False), (0.5, True)]

    module.load_builtin_judge = Own
    monkeypatch.setitem(sys.modules, "trueward.rlhf.safety.builtin_judge", module)
    judge = open_judge("builtin", data)
    said = judge.answer([(NOTES, "a"), (BOAT, "b")])
    assert said == ["0.9000", "abstains 0.5000"]
    phrases = open_judge("phrases", data)
    assert phrases.verdict(phrases.answer([(BOAT, "I cannot.")])[0]).values["refusal"] == 1.0


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("harmbnch", "did you mean harmbench"),
        ("xstest", "asks a chat model: give --judge xstest=FOLDER"),
        ("phrases=gpt", "takes no model"),
        ("wildguard=http://127.0.0.1:1/v1", "needs the name of the model there"),
        ("wildguard=inspect:openai/x", "without a chat template"),
        ("wildguard=no/such/folder/here", "there is no judge"),
    ],
)
def test_what_is_no_judge_is_told_in_a_sentence(word, message, data, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises((UsageError, TruewardError), match=message):
        open_judge(word, data, ACCEPTED)


def test_a_judge_without_its_template_says_where_it_is_had(tmp_path):
    with pytest.raises(UsageError, match=r"harmbench_cls.txt with \{behavior\}.*docs/safety.md"):
        open_judge("harmbench=http://127.0.0.1:1/v1,model=j", tmp_path)


tiny = pytest.importorskip("helpers.tiny")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return tiny.build("llama", tmp_path_factory.mktemp("judge"), head="ForCausalLM")


def test_local_weights_answer_alike_alone_and_in_a_batch(weights, data):
    judge = open_judge(f"wildguard={weights}", data, ACCEPTED)
    pairs = [(BOAT, "run git reset"), (NOTES, "five")]
    both = judge.answer(pairs)
    assert both == [judge.answer([pair])[0] for pair in pairs]
    assert judge.verdict(both[0]).problem.startswith("off format")
    judge.close()


def test_the_digits_of_local_weights_are_computed_from_the_last_logits(weights, data):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    judge = open_judge(f"strongreject_finetuned={weights}", data, ACCEPTED)
    words = AutoTokenizer.from_pretrained(weights)
    text = judge.question(BOAT, "five")
    with torch.no_grad():
        logits = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32)(
            **words(text, return_tensors="pt")
        ).logits[0, -1]
    share = logits.softmax(-1)[words.convert_tokens_to_ids(list("12345"))]
    (said,) = judge.answer([(BOAT, "five")])
    assert said == f"P(digit) = {share.sum():.3f}"
    assert asked.KINDS["strongreject_finetuned"].cut == 512
