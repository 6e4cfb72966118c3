"""A model.json that was edited and sealed again: other types in it are one sentence, not a traceback."""

import hashlib
import json
import shutil

import pytest
from golden.world import DATA
from helpers.commands import run, table


def edited(folder, *keys, to):
    """Change a value of the record and give it the digest that it should have."""
    record = inside = json.loads((folder / "model.json").read_text())
    for key in keys[:-1]:
        inside = inside[key]
    inside[keys[-1]] = to
    _seal(folder, record)


def _seal(folder, record):
    record.pop("digest")
    text = json.dumps(record, sort_keys=True)
    record["digest"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "model.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("keys", "to", "place"),
    [
        (("report", "rated"), None, "report.rated"),
        (("report", "rows"), {"train": "all"}, "report.rows.train"),
        (("report", "warnings"), [5], "report.warnings[0]"),
        (("report", "nuisances"), {"propensity": 1}, "report.nuisances.propensity"),
        (("report", "log"), {"map": {"prompt": 1}}, "report.log.map"),
        (("report", "rows"), {"train": 10**400}, "report.rows.train"),
    ],
)
@pytest.mark.parametrize("command", ["score", "export"])
def test_another_type_in_the_report_is_one_sentence(tmp_path, capsys, command, keys, to, place):
    folder = shutil.copytree(DATA / "models" / "texts-naive", tmp_path / "rm")
    edited(folder, *keys, to=to)
    log = table(tmp_path / "log.csv")
    words = {
        "score": ["score", str(folder), log, "--out", str(tmp_path / "out") + ".csv"],
        "export": [
            "export",
            str(folder),
            str(tmp_path / "out"),
            "--allow-remote-code",
            "--reference",
            log,
        ],
    }
    code, _, err = run(words[command], capsys)
    assert code == 1
    assert err.startswith("error: ")
    assert f"has no valid {place}" in err
    assert not (tmp_path / "out").exists()


def test_an_unknown_calibration_is_one_sentence(tmp_path, capsys):
    folder = shutil.copytree(DATA / "models" / "texts-naive", tmp_path / "rm")
    edited(folder, "calibration", to="sideways")
    words = ["score", str(folder), table(tmp_path / "log.csv"), "--out", str(tmp_path / "out.csv")]
    code, _, err = run(words, capsys)
    assert code == 1
    assert "calibration 'sideways' is none of" in err
    assert "itself failed" not in err


def test_a_record_without_its_backbone_is_one_sentence(tmp_path, capsys):
    folder = shutil.copytree(DATA / "models" / "texts-naive", tmp_path / "rm")
    record = json.loads((folder / "model.json").read_text())
    del record["backbone"]
    _seal(folder, record)
    words = ["score", str(folder), table(tmp_path / "log.csv"), "--out", str(tmp_path / "out.csv")]
    code, _, err = run(words, capsys)
    assert code == 1
    assert err.startswith("error: ")
    assert "itself failed" not in err
