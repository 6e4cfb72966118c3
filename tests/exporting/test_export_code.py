"""Exports that bring code: any head, the same scores, and nothing runs unless it is said and is ours."""

import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from helpers.commands import run
from helpers.language_logs import DECODERS, events, outcome, rewritten, uncalibrated

from trueward.core.errors import TruewardError, UsageError
from trueward.estimation.mixture_segment import Segment
from trueward.estimation.reward_form import Evidence, EvidenceRegression
from trueward.exporting import export, verify
from trueward.exporting.networks import Term
from trueward.exporting.shipped import modeling_trueward
from trueward.exporting.to_networks import networks_of
from trueward.features import encode
from trueward.fitting.fit import fit
from trueward.plugin import Computed, Method, bce, noisy, responds

transformers = pytest.importorskip("transformers", reason="language models need the extra `text`")
tiny = pytest.importorskip("helpers.tiny")
NOT_HERE = {"OpenRLHF", "offset", "vLLM", "veRL"}  # what has no meaning for a folder with code


@pytest.fixture(autouse=True)
def own_modules(monkeypatch, tmp_path_factory):
    """Code that transformers loads is copied to a place of the test's own."""
    place = str(tmp_path_factory.mktemp("modules"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", place)


@pytest.fixture(scope="module", params=DECODERS)
def coded(request, table, texts, tmp_path_factory):
    """Two members with hidden layers on a tiny decoder, and the export with code."""
    folder = tmp_path_factory.mktemp(request.param)
    tiny.build(request.param, folder / "base")
    data = encode(table, backbone=f"{folder / 'base'},dtype=float32")
    model = fit("naive", *data.split(0.2), members=2, hidden=(12, 5), epochs=3)
    return model, export(model, folder / "out", *texts, allow_remote_code=True)


@pytest.fixture
def copied(coded, tmp_path):
    """A copy that may be spoilt."""
    return shutil.copytree(coded[1].folder, tmp_path / "copy")


def chats(tokenizer, prompts, responses):
    return [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": p}, {"role": "assistant", "content": r}], tokenize=False
        )
        for p, r in zip(prompts, responses, strict=True)
    ]


def test_members_with_hidden_layers_score_as_the_model_does_and_every_rule_that_applies_is_kept(
    coded, texts
):
    model, made = coded
    found = verify(made.folder, *(t[:40] for t in texts), model=model, allow_remote_code=True)
    assert found.passed, str(found)
    kept = outcome(found)
    assert {k for k, v in kept.items() if v is None} - {"bos"} == NOT_HERE
    assert kept["TRL"]
    assert kept["own forward"]
    assert kept["reward model"]


def test_a_stock_loader_refuses_it_and_one_that_trusts_it_gives_the_rewards_of_a_padded_batch(
    coded, texts
):
    model, made = coded
    with pytest.raises(ValueError, match="custom code"):
        transformers.AutoModelForSequenceClassification.from_pretrained(
            made.folder, trust_remote_code=False
        )
    network = transformers.AutoModelForSequenceClassification.from_pretrained(
        made.folder, num_labels=1, trust_remote_code=True
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(made.folder, trust_remote_code=True)
    prompts, responses = (t[:9] for t in texts)
    inputs = tokenizer(
        chats(tokenizer, prompts, responses),
        return_tensors="pt",
        padding=True,
        add_special_tokens=False,
    )
    inputs.pop("token_type_ids", None)
    with torch.no_grad():
        found = network.eval()(**inputs).logits[:, 0]
    wanted = model.score(prompts, responses).reward
    spread = float(wanted.std())
    torch.testing.assert_close(found / spread, wanted / spread, atol=1e-2, rtol=0)


def test_its_cards_say_who_cannot_load_it(coded):
    card = json.loads((coded[1].folder / "reward_card.json").read_text())
    assert (card["head"]["kind"], card["remote_code"]) == ("mlp", True)
    assert card["not_loadable_by"] == ["vLLM", "OpenRLHF", "TEI"]
    assert card["serve"] == {}
    readme = (coded[1].folder / "README.md").read_text()
    assert "Not loadable by vLLM, OpenRLHF, TEI." in readme
    assert "trust_remote_code=True" in readme


def test_the_file_it_brings_needs_torch_and_transformers_alone(coded):
    code = (coded[1].folder / "modeling_trueward.py").read_text()
    top = {
        line.split()[1].split(".")[0]
        for line in code.splitlines()
        if line[:5] in ("impor", "from ")
    }
    assert top == {"torch", "transformers"}


def test_in_bfloat16_the_head_stays_float32(table, texts, tmp_path):
    tiny.build("qwen3", tmp_path / "base")
    data = encode(table, backbone=f"{tmp_path / 'base'},dtype=float32")
    model = fit("naive", *data.split(0.2), epochs=2)
    made = export(model, tmp_path / "out", *texts, allow_remote_code=True, dtype="bfloat16")
    network = transformers.AutoModelForSequenceClassification.from_pretrained(
        made.folder, trust_remote_code=True
    )
    kinds = {k.split(".")[0]: p.dtype for k, p in network.named_parameters()}
    assert kinds == {"model": torch.bfloat16, "score": torch.float32}


@pytest.mark.parametrize(
    "pooling", ["last", "mean", "cls", "max", "weightedmean", "mean_sqrt_len_tokens"]
)
def test_any_layer_and_pooling_is_carried(table, texts, tmp_path, pooling):
    tiny.build("llama", tmp_path / "base")
    named = f"{tmp_path / 'base'},dtype=float32,layer=1,pooling={pooling},normalize=true"
    model = fit("naive", *encode(table, backbone=named).split(0.2), hidden=(), epochs=2)
    made = export(model, tmp_path / "out", *texts, allow_remote_code=True)
    found = verify(made.folder, *(t[:20] for t in texts), model=model, allow_remote_code=True)
    assert found.passed, str(found)


# --- nothing runs unless it is said, and is ours -----------------------------------------------


def test_no_code_runs_unless_the_user_says_so(copied, monkeypatch):
    marked = copied / "modeling_trueward.py"
    marked.write_text("raise SystemExit('it ran')\n")
    found = verify(copied)
    assert not found.passed
    assert "--allow-remote-code" in found.checks[0].sentence


def test_code_that_this_version_does_not_write_is_never_run(copied):
    code = copied / "modeling_trueward.py"
    code.write_text(code.read_text() + "\nraise SystemExit('it ran')\n")
    found = verify(copied, allow_remote_code=True)
    assert not found.passed
    assert "modeling_trueward.py is not the file that this version" in found.checks[0].sentence


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("adapter_config.json", '{"base_model_name_or_path": "somebody/else"}'),
        ("helper.py", "raise SystemExit('it ran')"),
        ("more/modeling.py", "raise SystemExit('it ran')"),
    ],
)
def test_a_file_that_would_lead_a_trusting_loader_elsewhere_stops_it(copied, name, text):
    (copied / name).parent.mkdir(exist_ok=True)
    (copied / name).write_text(text)
    found = verify(copied, allow_remote_code=True)
    assert not found.passed
    assert f"{name} is not a file that export writes" in found.checks[0].sentence


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("config.json", {"auto_map": {"AutoModel": "somebody/else--a.B"}}),
        ("config.json", {"base": {"model_type": "llama", "auto_map": {"AutoModel": "a.B"}}}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["a.B", None]}}),
    ],
)
def test_a_map_to_other_code_is_not_followed(copied, name, changes, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it asked the network"))
    rewritten(copied, name, **changes)
    found = verify(copied, allow_remote_code=True)
    assert not found.passed
    assert "code" in found.checks[0].sentence
    assert "not run" in found.checks[0].sentence


def test_a_head_that_was_changed_is_found(copied):
    from safetensors.torch import load_file, save_file

    tensors = load_file(copied / "model.safetensors")
    tensors["score.offset"] += 1.0
    save_file(tensors, copied / "model.safetensors", {"format": "pt"})
    assert outcome(verify(copied, allow_remote_code=True))["files"] is False


# --- which rewards can be carried --------------------------------------------------------------


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tiny.build("qwen3", tmp_path_factory.mktemp("rows") / "base")
    return encode(events(), backbone=f"{folder},dtype=float32")


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("naive", {"hidden": ()}),
        ("naive", {"members": 3}),
        ("co_teaching", {}),  # the mean of two heads
        ("co_teaching", {"members": 2, "hidden": ()}),
        ("codis", {}),
        ("dividemix", {}),
        ("ips", {"members": 2}),
        ("implicitrm", {"identify": "gold"}),
        ("channels", {"hidden": ()}),  # a head and a learned level
        ("channels", {"members": 2, "form": "likelihood"}),
        ("mtdr", {}),  # heads on one trunk
        ("anchored", {}),
        ("anchored", {"signals": "none"}),
        ("anchored", {"signals": ("ratings", "channel.copy"), "monotone": "both"}),
        ("three_outcome", {"rho_01": 0.1, "rho_10": 0.2}),
    ],
)
def test_the_networks_give_the_rewards_of_the_model(rows, method, options):
    model = fit(method, *rows.split(0.2), epochs=2, nuisance_epochs=2, **options)
    h = rows.x.float()
    found = networks_of(model, h)
    assert found is not None
    wanted = uncalibrated(model, h)
    assert np.abs(found(h.numpy()) - wanted).max() <= 1e-4 * wanted.std()


@pytest.mark.parametrize("method", ["anchored", "three_outcome"])
def test_what_is_composed_of_nuisances_is_carried_as_code(rows, tmp_path, method):
    model = fit(method, *rows.split(0.2), epochs=2, nuisance_epochs=2)
    frame = events().frame
    pairs = frame["prompt"].to_list(), frame["response"].to_list()
    export(model, tmp_path / "out", *pairs, allow_remote_code=True)
    found = verify(tmp_path / "out", *(t[:30] for t in pairs), model=model, allow_remote_code=True)
    assert found.passed, str(found)


@pytest.mark.parametrize("of", [("q", "p"), ("q",)])
def test_a_place_on_the_segment_is_the_same_in_all_code_that_finds_it(of):
    """numpy here and in the scorer, torch in the other folder; without p everybody reacts."""
    q, p = np.linspace(-6, 6, 50), np.linspace(3, -3, 50)
    react, good = 1 / (1 + np.exp(-p)) if "p" in of else 1.0, 1 / (1 + np.exp(-q))
    ends = (0.04, 0.16, 0.45, 0.05) if "p" in of else (0.2, 0.8, 0.9, 0.1)
    segment = Segment(np.array(ends[:2]), np.array(ends[2:]))
    wanted = segment.place(react * good, react * (1 - good))
    term = Term("place", of, 1.0, ends)
    assert term({"q": q, "p": p}) == pytest.approx(wanted, abs=1e-9)
    theirs = modeling_trueward.evidence(vars(term), *map(torch.from_numpy, (q, p)[: len(of)]))
    assert theirs.numpy() == pytest.approx(wanted, abs=1e-5)


def test_a_ratio_of_chances_is_refused_in_one_sentence(rows, tmp_path):
    model = fit("channels", *rows.split(0.2), form="ratio", nuisance_epochs=2)
    frame = events().frame
    pairs = frame["prompt"].to_list(), frame["response"].to_list()
    with pytest.raises(TruewardError, match=r"channels .* no folder carries: .*--distil"):
        export(model, tmp_path / "out", *pairs, allow_remote_code=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["co_teaching", "channels"])
def test_a_linear_head_is_folded_only_where_it_is_the_whole_reward(rows, tmp_path, method):
    """Two linear heads averaged as probabilities are not linear; a level is a constant of the head."""
    model = fit(method, *rows.split(0.2), hidden=(), epochs=2, nuisance_epochs=2)
    frame = events().frame
    pairs = frame["prompt"].to_list(), frame["response"].to_list()
    if method == "co_teaching":
        with pytest.raises(TruewardError, match="one linear head"):
            export(model, tmp_path / "out", *pairs)
        return
    made = export(model, tmp_path / "out", *pairs)
    assert outcome(verify(made.folder, *(t[:30] for t in pairs), model=model))["reward model"]


def test_a_distilled_head_is_that_of_the_reward_before_calibration(rows, tmp_path):
    """The card has the calibration, which must not count twice."""
    model = fit("naive", *rows.split(0.2), epochs=3)
    frame = events().frame
    pairs = frame["prompt"].to_list(), frame["response"].to_list()
    plain = export(model, tmp_path / "a", *pairs, distil=True)
    calibrated = export(model.calibrated(rows), tmp_path / "b", *pairs, distil=True)
    assert calibrated.card["reference"]["z_mean"] == pytest.approx(
        plain.card["reference"]["z_mean"]
    )
    assert calibrated.card["reference"]["z_sd"] == pytest.approx(plain.card["reference"]["z_sd"])


def test_a_linear_head_needs_no_code_even_where_it_is_allowed(rows, tmp_path):
    model = fit("naive", *rows.split(0.2), hidden=(), epochs=2)
    frame = events().frame
    made = export(
        model, tmp_path / "out", frame["prompt"], frame["response"], allow_remote_code=True
    )
    assert made.card["remote_code"] is False
    assert not list(made.folder.glob("*.py"))
    with pytest.raises(UsageError, match="not both"):
        export(
            *(model, tmp_path / "out", frame["prompt"], frame["response"]),
            distil=True,
            allow_remote_code=True,
        )


def test_from_a_shell(coded, table, tmp_path, capsys):
    model, _ = coded
    model.save(tmp_path / "rm")
    table.frame.write_parquet(tmp_path / "log.parquet")
    out = str(tmp_path / "out")
    words = ["export", str(tmp_path / "rm"), out, "--reference", str(tmp_path / "log.parquet")]
    code, _, err = run(words, capsys)
    assert code == 1
    assert "--allow-remote-code" in err
    code, said, err = run([*words, "--allow-remote-code"], capsys)
    assert code == 0, err
    assert "trust_remote_code=True" in said
    assert f"verify-export {out} --model {tmp_path / 'rm'} --allow-remote-code" in said
    assert run(["verify-export", out], capsys)[0] == 1
    code, said, _ = run(
        ["verify-export", out, "--model", str(tmp_path / "rm"), "--allow-remote-code"], capsys
    )
    assert code == 0, said


# --- methods of other packages -----------------------------------------------------------------

RATINGS = Evidence("noisy", "odds", ("noisy",))
UP = Evidence("up", "up", ("noisy", "responds"))


class OwnEvidence(Method):
    """A method of another package: s = .3 + 1.5 (e - .2) for the log-odds e of a thumb up."""

    name: ClassVar[str] = "own_evidence"
    declared: Evidence = UP

    @property
    def needs(self):
        return frozenset({"o", "unrated"})

    @property
    def nuisances(self):
        rates = (replace(nu, views="both") for nu in (noisy, responds))
        return (
            *rates,
            Computed("anchor", ("target",), self.coefficients, self.target, features=True),
        )

    @staticmethod
    def coefficients(train, _val, _seed):
        more = torch.zeros(train.x.shape[1])  # coefficients of the features
        w, centre = (
            torch.cat([torch.tensor([0.3, 1.5]), more]),
            torch.cat([torch.tensor([0.2]), more]),
        )
        return {"w": w, "centre": centre, "unit": torch.ones_like(centre)}, {}

    @staticmethod
    def target(fitted, b):
        w, centre = fitted["w"].double(), fitted["centre"].double()
        return {"target": torch.sigmoid(w[0] + w[1] * (UP.log_odds(b.eta) - centre[0]))}

    def reward_form(self):
        return EvidenceRegression(evidence=(self.declared,))

    def loss(self, out, b):
        return bce(out.reward, b.eta.target).mean()


class OwnReward(Method):
    """A method of another package that computes its reward in code of its own."""

    name: ClassVar[str] = "own_reward"

    def loss(self, out, b):
        return bce(out.reward, b.y).mean()

    def reward(self, out):
        return 2 * torch.tanh(out.reward)


def test_a_method_of_another_package_exports_the_reward_that_it_declares(rows, tmp_path):
    model = fit(OwnEvidence(), *rows.split(0.2), nuisance_epochs=2, seed=1)
    h = rows.x.float()
    expected = uncalibrated(model, h)
    assert np.abs(networks_of(model, h)(h.numpy()) - expected).max() <= 1e-4 * expected.std()
    export(model, tmp_path / "out", events(), allow_remote_code=True)
    result = verify(tmp_path / "out", events(), model=model, allow_remote_code=True)
    assert result.passed, str(result)


def test_a_declared_form_that_is_not_the_reward_stops_the_export(rows, tmp_path):
    model = fit(OwnEvidence(declared=RATINGS), *rows.split(0.2), nuisance_epochs=2)
    with pytest.raises(TruewardError, match=r"correct reward_form\(\)"):
        export(model, tmp_path / "out", events(), allow_remote_code=True)
    assert not (tmp_path / "out").exists()


def test_a_reward_in_code_of_its_own_is_distilled_or_refused(rows, tmp_path):
    model = fit(OwnReward(), *rows.split(0.2), epochs=2, hidden=())
    with pytest.raises(TruewardError, match=r"no folder carries.*--distil"):
        export(model, tmp_path / "out", events(), allow_remote_code=True)
    assert (
        export(model, tmp_path / "out", events(), distil=True).card["head"]["kind"] == "distilled"
    )


# --- what an export tells about this machine ---------------------------------------------------


@pytest.mark.parametrize("code", [True, False])
def test_no_file_has_the_path_of_the_backbone(rows, tmp_path, code):
    model = fit("naive", *rows.split(0.2), epochs=1, hidden=(3,) if code else ())
    folder = export(model, tmp_path / "out", events(), allow_remote_code=code).folder
    path = json.loads(model.backbone)["model"]
    assert Path(path).is_absolute()
    for file in (p for p in folder.rglob("*") if p.suffix in {".json", ".md"}):
        assert path not in file.read_text(), file.name
    if code:
        config = json.loads((folder / "config.json").read_text())
        assert config["base"]["_name_or_path"] == Path(path).name
