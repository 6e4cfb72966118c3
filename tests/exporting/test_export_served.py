"""A server with vLLM's /classify: what it gives is what the folder says, or the broken rule is named."""

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from helpers.commands import run
from helpers.language_logs import log, outcome
from helpers.loopback import loopback_only, recorded_waits  # noqa: F401 - fixtures

from trueward.exporting import export, verify
from trueward.features import encode
from trueward.fitting.fit import fit

transformers = pytest.importorskip("transformers", reason="language models need the extra `text`")
tiny = pytest.importorskip("helpers.tiny")


class Served(ThreadingHTTPServer):
    """A folder behind vLLM's shapes; ``wrong`` names what it does otherwise."""

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.network = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder
        ).eval()
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.wrong, self.pooler, self.problem, self.first = "", None, "regression", []
        self.asked = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def rows(self, body):
        """Tokens of a request: special tokens by default for input, never for messages."""
        if "messages" in body:
            template = None
            if self.wrong == "template":
                template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
            text = self.tokenizer.apply_chat_template(
                body["messages"],
                tokenize=False,
                chat_template=template,
                add_generation_prompt=self.wrong == "generation prompt",
            )
            if self.wrong == "cut end":
                text = text.removesuffix("\n").removesuffix("<|im_end|>")
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            return [self.begun(ids)]
        given = body["input"]
        given = [given] if isinstance(given, str) or isinstance(given[0], int) else given
        special = body.get("add_special_tokens", True)
        return [
            self.begun(self.tokenizer(g, add_special_tokens=special)["input_ids"])
            if isinstance(g, str)
            else g
            for g in given
        ]

    def begun(self, ids):
        """BOS in front where the server is wrong."""
        return [self.tokenizer.bos_token_id, *ids] if self.wrong == "double bos" else ids

    def numbers(self, body):
        with torch.no_grad():
            z = [
                float(self.network(input_ids=torch.tensor([ids])).logits) for ids in self.rows(body)
            ]
        z = torch.tensor(z)
        if self.pooler:
            z = (z - self.pooler["logit_mean"]) / self.pooler["logit_sigma"]
        active = body.get("use_activation")
        active = True if active is None else active
        squash = (active and self.problem != "regression") or self.wrong == "always sigmoid"
        return (torch.sigmoid(z) if squash else z).tolist()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        assert self.path == "/v1/models"
        self.answer(200, {"object": "list", "data": [{"id": "export", "object": "model"}]})

    def do_POST(self):
        assert self.path == "/classify"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert body["model"] == "export"
        self.server.asked.append(body)
        if self.server.first:
            self.answer(self.server.first.pop(0), {"error": {"message": "busy", "code": 503}})
            return
        rows = [
            {"index": i, "label": "LABEL_0", "probs": [v], "num_classes": 1}
            for i, v in enumerate(self.server.numbers(body))
        ]
        self.answer(
            200, {"id": "classify-1", "object": "list", "model": "export", "data": rows[::-1]}
        )

    def answer(self, code, value):
        raw = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def folder(request, tmp_path_factory):
    """A linear reward with Platt's calibration, on a decoder with a BOS and on one without."""
    table = log()
    place = tmp_path_factory.mktemp(request.param)
    tiny.build(request.param, place / "base")
    data = encode(table, backbone=f"{place / 'base'},dtype=float32")
    model = fit("naive", *data.split(0.2), hidden=(), epochs=3)
    made = export(model, place / "out", table.frame["prompt"], table.frame["response"])
    return calibrated(made.folder, 2.5, -0.7)


def calibrated(folder, a, d):
    """The card as Platt's calibration P = sigmoid(a (z + c) + d) writes it."""
    card = json.loads((folder / "reward_card.json").read_text())
    card["calibration"] |= {"kind": "platt", "a": a, "d": d}
    c = card["head"]["constant"]
    card["serve"]["vllm_pooler_config"] = {"logit_mean": -c - d / a, "logit_sigma": 1 / a}
    (folder / "reward_card.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def server(folder):
    made = Served(folder)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def vllm(folder, server):
    (check,) = [c for c in verify(folder, url=server.url).checks if c.name == "vLLM"]
    return check


def pooler(folder):
    return json.loads((folder / "reward_card.json").read_text())["serve"]["vllm_pooler_config"]


def test_a_server_that_gives_the_logits_agrees_in_every_way_it_can_be_asked(folder, server):
    check = vllm(folder, server)
    assert check.passed, check.sentence
    assert "use_activation true gives the reward" in check.sentence
    assert "the server without the pooler config" in check.sentence
    ways = {
        (
            next(k for k in ("messages", "input") if k in b),
            b.get("use_activation"),
            b.get("add_special_tokens"),
        )
        for b in server.asked
    }
    assert {
        ("messages", None, None),
        ("messages", True, None),
        ("messages", False, None),
        ("input", False, None),
        ("input", False, False),
    } == ways


def test_with_the_pooler_config_and_the_sigmoid_it_gives_the_probability(folder, server):
    server.pooler, server.problem = pooler(folder), "multi_label_classification"
    check = vllm(folder, server)
    assert check.passed, check.sentence
    assert "use_activation true gives P(preferred)" in check.sentence
    assert "the server with the pooler config" in check.sentence


@pytest.mark.parametrize("folder", ["qwen3"], indirect=True)
def test_without_a_calibration_the_pooler_config_of_the_card_only_adds_the_constant(
    folder, server, tmp_path
):
    """P(preferred) = sigmoid(z + c): the server adds c, so nothing may add it again."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    card = json.loads((copy / "reward_card.json").read_text())
    card["head"] |= {"constant": 1.5, "constant_home": "card"}
    card["calibration"] |= {"kind": "none", "a": 1.0, "d": 0.0}
    card["serve"]["vllm_pooler_config"] = {"logit_mean": -1.5, "logit_sigma": 1.0}
    (copy / "reward_card.json").write_text(json.dumps(card))
    for problem in ("regression", "multi_label_classification"):
        server.pooler, server.problem = pooler(copy), problem
        check = vllm(copy, server)
        assert check.passed, check.sentence
        assert "the server with the pooler config" in check.sentence
    server.pooler = {"logit_mean": -1.0, "logit_sigma": 1.0}
    assert vllm(copy, server).passed is False


@pytest.mark.parametrize("folder", ["llama"], indirect=True)
def test_a_bos_that_only_the_tokenizer_adds_to_input_is_a_word_of_warning(folder, server, tmp_path):
    """That is what vLLM does unless told otherwise; a server that does it to every text is wrong."""
    from tokenizers import Tokenizer, processors

    copy = shutil.copytree(folder, tmp_path / "copy")
    own = Tokenizer.from_file(str(copy / "tokenizer.json"))
    special = [("<s>", own.token_to_id("<s>"))]
    own.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=special)
    own.save(str(copy / "tokenizer.json"))
    server.tokenizer = transformers.AutoTokenizer.from_pretrained(copy)
    check = vllm(copy, server)
    assert check.passed, check.sentence
    assert "input needs add_special_tokens false, else BOS comes twice" in check.sentence


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("template", "template: messages become other tokens than chat_template.jinja"),
        (
            "generation prompt",
            "template: a generation prompt is added after the response, in messages",
        ),
        (
            "cut end",
            "template: the end that the template puts after a response is lost, in messages",
        ),
        ("always sigmoid", "activation: a sigmoid is applied although use_activation is false"),
    ],
)
def test_a_server_that_is_wrong_is_told_by_the_rule_it_breaks(folder, server, wrong, words):
    server.wrong = wrong
    check = vllm(folder, server)
    assert check.passed is False
    assert check.sentence.startswith(words)


@pytest.mark.parametrize("folder", ["llama"], indirect=True)
def test_a_bos_in_front_of_messages_that_have_it_is_found(folder, server):
    server.wrong = "double bos"
    check = vllm(folder, server)
    assert check.passed is False
    assert check.sentence == "bos: the server puts BOS in front of a text that has it, in messages"


def test_a_sigmoid_by_default_that_is_not_the_calibrated_probability_is_found(folder, server):
    server.problem = "multi_label_classification"  # and no pooler config
    check = vllm(folder, server)
    assert check.passed is False
    assert check.sentence.startswith(
        "activation: unless use_activation is false, a sigmoid is applied"
    )
    assert "--pooler-config" in check.sentence


def test_another_folder_behind_the_server_is_found(folder, server):
    with torch.no_grad():
        server.network.score.weight.mul_(-1)
    check = vllm(folder, server)
    assert check.passed is False
    assert check.sentence.startswith("weights: ")


def test_a_busy_server_is_asked_again_and_one_that_stays_busy_is_one_sentence(
    folder,
    server,
    waits,
):
    server.first = [503, 429]
    assert vllm(folder, server).passed
    assert len(waits) == 2
    server.first = [503] * 50
    check = vllm(folder, server)
    assert check.passed is False
    assert "did not answer in 7 tries" in check.sentence


def test_a_server_of_something_else_is_one_sentence(folder, server):
    server.first = [404]
    check = vllm(folder, server)
    assert check.passed is False
    assert "has no /classify" in check.sentence
    server.numbers = lambda body: [[0.5, 0.5] for _ in server.rows(body)]
    check = vllm(folder, server)
    assert check.passed is False


def test_without_a_server_the_rule_is_left_open(folder):
    assert outcome(verify(folder))["vLLM"] is None


def test_from_a_shell(folder, server, capsys):
    code, said, _ = run(["verify-export", str(folder), "--url", server.url + "/"], capsys)
    assert code == 0, said
    assert "pass vLLM" in said
    server.wrong = "template"
    code, said, _ = run(["verify-export", str(folder), "--url", server.url], capsys)
    assert code == 1
    assert "broken: vLLM" in said
    code, _, err = run(["verify-export", str(folder), "--url", "ftp://host"], capsys)
    assert code == 2
    assert "http://HOST:PORT" in err
