"""TRL itself trains a policy by an exported folder: the rewards it sees are those of the model."""

import pytest
import torch
from helpers.language_logs import log

from trueward.exporting import export
from trueward.features import encode
from trueward.fitting.fit import fit

transformers = pytest.importorskip("transformers", reason="language models need the extra `text`")
tiny = pytest.importorskip("helpers.tiny")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of TRL's own


@pytest.fixture
def modules(monkeypatch, tmp_path):
    """Code that transformers loads is copied to a place of the test's own."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "m"))


@pytest.mark.parametrize("code", [False, True])
def test_a_step_of_grpo_is_rewarded_as_the_model_rewards(tmp_path, modules, code):
    """A stock folder by its path alone, one with code as a loaded model; texts as its tokens have them."""
    table, folder = log(), str(tmp_path / "out")
    base = tiny.build("qwen3", tmp_path / "base", "ForCausalLM")
    data = encode(table, backbone=f"{base},dtype=float32")
    chosen = {"members": 2} if code else {"hidden": ()}
    model = fit("naive", *data.split(0.2), epochs=2, **chosen)
    made = export(
        model, folder, table.frame["prompt"], table.frame["response"], allow_remote_code=code
    )
    assert made.card["remote_code"] is code
    auto = transformers.AutoModelForSequenceClassification
    reward = auto.from_pretrained(folder, num_labels=1, trust_remote_code=True) if code else folder
    reader = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=code)
    ids, found = rewarded(tmp_path, base, reward, reader, table)
    texts = reader.batch_decode(ids)
    parts = [t.split("<|im_end|>") for t in texts]
    prompts = [p[0].partition("user\n")[2] for p in parts]
    responses = [p[1].partition("assistant\n")[2] for p in parts]
    wanted = model.score(prompts, responses).reward - made.card["head"]["constant"]
    assert len(found) == 4
    torch.testing.assert_close(found, wanted, atol=0.02 * float(data_sd(model, data)), rtol=0)


def test_a_step_of_grpo_is_rewarded_by_an_encoder(tmp_path):
    """A stock classifier on a tiny DistilBERT, by its path: TRL's tokens are those of the fit."""
    from exporting.test_export_encoders import fitted

    table = log()
    policy = tiny.build("qwen3", tmp_path / "policy-base", "ForCausalLM")
    model = fitted("distilbert", tmp_path, table)
    folder = str(export(model, tmp_path / "out", table).folder)
    reader = transformers.AutoTokenizer.from_pretrained(folder)
    ids, found = rewarded(tmp_path, policy, folder, reader, table)
    texts = [text.split("[PAD]")[0] for text in reader.batch_decode(ids)]
    pairs = [text.removeprefix("[CLS]").split("[SEP]") for text in texts]
    wanted = model.score([p[0] for p in pairs], [p[1] for p in pairs]).reward
    assert len(found) == 4
    torch.testing.assert_close(found, wanted, atol=0.02, rtol=0)


def rewarded(tmp_path, base, reward, reader, table):
    """Train one step of GRPO; return the tokens that the reward model got, and its scores."""
    trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
    rows = [{"prompt": [{"role": "user", "content": p}]} for p in table.frame["prompt"][:4]]
    trainer = trl.GRPOTrainer(
        model=transformers.AutoModelForCausalLM.from_pretrained(base),
        processing_class=transformers.AutoTokenizer.from_pretrained(base),
        reward_funcs=[reward],
        reward_processing_classes=[reader],
        train_dataset=datasets.Dataset.from_list(rows),
        args=trl.GRPOConfig(
            output_dir=str(tmp_path / "policy"),
            per_device_train_batch_size=4,
            num_generations=4,
            max_completion_length=8,
            max_steps=1,
            report_to=[],
            use_cpu=True,
            bf16=False,
            disable_tqdm=True,
        ),
    )
    seen = []
    trainer.reward_funcs[0].register_forward_hook(
        lambda _module, _args, given, out: seen.append((given["input_ids"], out.logits[:, 0])),
        with_kwargs=True,
    )
    trainer.train()
    return seen[0]


def data_sd(model, data):
    """Standard deviation of the rewards of the log."""
    return model.score_features(data.x.float()).reward.std()
