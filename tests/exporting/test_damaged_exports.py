"""An export without some of its files fails its checks in sentences."""

import pytest
from helpers.commands import run, table


@pytest.fixture
def export(tmp_path, monkeypatch, capsys):
    """A folder of a model on the built-in features."""
    monkeypatch.chdir(tmp_path)
    log = table(tmp_path / "log.parquet")
    for words in (
        ["fit", "naive", log, "--epochs", "1", "--out", "rm"],
        ["export", "rm", "export", "--allow-remote-code"],
    ):
        code, _, err = run(words, capsys)
        assert code == 0, err
    return tmp_path / "export"


def test_a_folder_without_its_weights_or_with_another_card_fails_in_sentences(export, capsys):
    verify = ["verify-export", "export", "--allow-remote-code"]
    card = (export / "reward_card.json").read_text()
    for text in ("[]", "[" * 5000):
        (export / "reward_card.json").write_text(text)
        code, out, err = run(verify, capsys)
        assert (code, err) == (1, ""), text
        assert "FAIL" in out
    (export / "reward_card.json").write_text(card)
    (export / "model.safetensors").unlink()
    code, out, err = run(verify, capsys)
    assert (code, err) == (1, "")
    assert "FAIL" in out
    assert "model.safetensors" in out
