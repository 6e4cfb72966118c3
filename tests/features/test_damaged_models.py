"""Incomplete or damaged models raise one message on the command line and write nothing."""

import json

import numpy as np
import pytest
from helpers.commands import run
from helpers.language_logs import log

from trueward.core.errors import TruewardError
from trueward.exporting import export
from trueward.features import encode
from trueward.fitting.fit import fit

# it asks by a name that transformers has given up
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
transformers = pytest.importorskip("transformers", reason="needs the extra trueward[text]")
peft = pytest.importorskip("peft", reason="needs the extra trueward[text]")
tiny = pytest.importorskip("helpers.tiny")


def damaged(base, damage):
    """Damage a model folder; return it."""
    config = json.loads((base / "config.json").read_text())
    weights = base / "model.safetensors"
    match damage:
        case "no template":
            (base / "chat_template.jinja").unlink()
        case "no weights":
            weights.unlink()
        case "a shard less":
            names = {
                "a": "model-00001-of-00002.safetensors",
                "b": "model-00002-of-00002.safetensors",
            }
            weights.rename(base / names["a"])
            (base / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
        case "cut short":
            weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
        case "another width":
            (base / "config.json").write_text(json.dumps({**config, "hidden_size": 64}))
        case "not a number":
            from safetensors.torch import load_file, save_file

            tensors = load_file(weights)
            next(v for k, v in tensors.items() if k.endswith("norm.weight"))[:] = np.nan
            save_file(tensors, weights, {"format": "pt"})
    return base


DAMAGES = {
    "no template": "no chat template",
    "no weights": "no weights",
    "a shard less": "no weights model-00002-of-00002.safetensors, probably after an interrupted download",
    "cut short": "could not be loaded",
    "another width": "could not be loaded",
    "not a number": "row 1 has activations that are not finite",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", ["encode", "fit"])
def test_an_incomplete_backbone_is_an_error_on_the_command_line(
    base, tmp_path, capsys, command, damage
):
    folder = damaged(base, damage)
    file = tmp_path / "log.parquet"
    log(60).frame.write_parquet(file)
    folder_out = tmp_path / "rm"
    words = (
        ["encode", str(file)]
        if command == "encode"
        else ["fit", "naive", str(file), "--out", str(folder_out)]
    )
    code, out, err = run([*words, "--backbone", f"{folder},dtype=float32"], capsys)
    assert code == 1
    assert DAMAGES[damage] in " ".join(err.split())
    assert "Traceback" not in err + out
    assert not folder_out.exists()


@pytest.mark.parametrize("damage", ["no weights", "cut short", "moved", "another"])
def test_an_export_with_a_changed_backbone_is_an_error_on_the_command_line(
    base, tmp_path, capsys, damage
):
    table = log()
    file = tmp_path / "log.parquet"
    table.frame.write_parquet(file)
    data = encode(table, backbone=f"{base},dtype=float32")
    fit("naive", *data.split(0.2), hidden=(), epochs=1).save(tmp_path / "rm")
    match damage:
        case "moved":
            base.rename(tmp_path / "elsewhere")
        case "another":
            tiny.build("llama", base, "ForCausalLM", seed=4)
        case _:
            damaged(base, damage)
    words = ["export", str(tmp_path / "rm"), str(tmp_path / "out"), "--reference", str(file)]
    code, out, err = run(words, capsys)
    assert code == 1
    assert "Traceback" not in err + out
    assert err.strip().count("\n") <= 4  # a wrapped sentence
    assert "TRUEWARD_BACKBONE" in " ".join(err.split())
    assert not (tmp_path / "out").exists()


def test_an_export_with_weights_of_another_width_is_an_error(base, tmp_path):
    """A head of 32 columns and a model of 64: the digest differs before anything is multiplied."""
    table = log()
    data = encode(table, backbone=f"{base},dtype=float32")
    model = fit("naive", *data.split(0.2), hidden=(), epochs=1)
    damaged(base, "another width")
    with pytest.raises(TruewardError, match="computed with files of digest"):
        export(model, tmp_path / "out", table.frame["prompt"], table.frame["response"])
