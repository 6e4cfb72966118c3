"""No id of a person leaves the log: models, reports, exports and caches hold none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import polars as pl
import pytest
from helpers.commands import run
from helpers.product_exports import lines

tiny = pytest.importorskip("helpers.tiny", reason="language models need the extra `text`")
MARK = "zyxperson"  # in every id of the export, and nowhere else


def export(path, n=360):
    """Answers of a few words by 20 people in 60 sessions; a third is rated, some by an annotator."""
    words = tiny.TEXT.split()
    rows = []
    for i in range(n):
        answer = " ".join(words[(7 * i + j) % len(words)] for j in range(3 + i % 5))
        response = {"response_id": f"x:{i}", "prompt": f"how do i {words[i // 3 % 40]} {i // 3}"}
        who = {"user_id": f"{MARK}-u{i % 20}@ids.example", "session_id": f"{MARK}-s{i % 60}"}
        rows.append(response | who | {"response": answer, "shown_at": 1767323045 + 60 * i})
        event = {"response_id": f"x:{i}", "value": 1, "actor_id": f"{MARK}-a{i % 20}"}
        if i % 3 == 0:
            channel = ["thumbs_down", "thumbs_up"]["o" in answer[:9]]
            rows.append(event | {"channel": channel, "source": "user", "text": f"by {MARK}"})
        if i % 4 == 0:
            value = {"channel": "rating", "value": 1 + 4 * ("o" in answer[:9])}
            rows.append(event | value | {"source": "annotator"})
    return lines(path, rows)


def contents(folder):
    """All bytes of all files, tables also as plain values."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        yield path, path.read_bytes()
        if path.suffix == ".parquet":
            yield path, str(pl.read_parquet(path).to_dicts()).encode()


@pytest.mark.slow
@pytest.mark.parametrize("hashed", [True, False])
def test_no_model_report_card_export_or_list_holds_the_id_of_a_person(hashed, tmp_path, capsys):
    (tmp_path / "key").write_text("5c" * 32)
    base, log, outputs = tmp_path / "base", tmp_path / "log", tmp_path / "made"
    tiny.build("llama", base)
    outputs.mkdir()

    def done(*words):
        code, out, err = run([str(word) for word in words], capsys)
        assert code == 0, (words, err)
        (outputs / f"output-{len(list(outputs.iterdir()))}.txt").write_text(out + err)

    file = log / "log.parquet"
    more = ["--hash-users", tmp_path / "key"] if hashed else []
    done("import", "generic", export(tmp_path / "e.jsonl"), "--out", log, "--scale", "1:5", *more)
    fitted = ["--epochs", 2, "--backbone", f"{base},dtype=float32"]
    done("fit", "dr", file, "--out", outputs / "dr", *fitted)
    done("fit", "anchored", file, "--out", outputs / "anchored")
    done("inspect", file, "--json")
    done("report", outputs / "dr", "--log", file, "--out", outputs / "report.html")
    done("export", outputs / "dr", outputs / "hf", "--reference", file, "--distil")
    done("verify-export", outputs / "hf", "--model", outputs / "dr")
    done("evaluate", outputs / "anchored", "--log", file, "--gold", file, "--json")
    done("plan", outputs / "anchored", file, "--width", 0.1, "--out", outputs / "next.csv")
    done(
        "training-data",
        "trl-pairs",
        outputs / "dr",
        file,
        "--out",
        outputs / "pairs.parquet",
        "--least",
        0,
    )

    ids = pl.read_parquet(file, columns=["user_id", "session_id"])
    events = pl.read_parquet(log / "events.parquet")
    secrets = {
        v.encode() for c in [*ids.iter_columns(), events["actor_id"]] for v in c.drop_nulls()
    }
    assert len(secrets) == 20 + 60 + 20
    assert all((MARK.encode() in secret) == (not hashed) for secret in secrets)
    cache = Path(os.environ["TRUEWARD_CACHE"])
    assert any(cache.rglob("*"))
    kept = (
        *contents(outputs),
        *contents(cache),
        (log / "summary.json", (log / "summary.json").read_bytes()),
    )
    for path, text in kept:
        assert MARK.encode() not in text, path
        assert not [secret for secret in secrets if secret in text], path
    assert json.loads((log / "summary.json").read_text())["rated"] == 120
