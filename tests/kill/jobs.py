"""Commands to be stopped at any moment, the files they read, and when their result is whole."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from golden.benchmarks import CONFIG
from safetensors import safe_open

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "fixtures" / "sources"
MODEL = ROOT / "golden" / "data" / "models" / "texts-naive"
ROWS = 240


@dataclass(frozen=True)
class Job:
    """A command whose words hold {d}, its folder; ``out`` is what it writes there."""

    name: str
    words: str
    out: str
    options: tuple[str, ...] = field(default=())
    continues: bool = (
        False  # a stopped run leaves parts of its result, which the next run completes
    )

    def given(self, folder):
        return [w.replace("{d}", str(folder)) for w in self.words.split()]


FIT = "fit causalrm {d}/log.parquet --out {d}/rm --epochs 3 -o nuisance_epochs=2 -o rho_01=0.05 -o rho_10=0.1"
JOBS = {
    job.name: job
    for job in (
        Job(
            "import",
            "import generic {d}/responses.jsonl {d}/events.jsonl --out {d}/log --scale 1:5",
            "log",
        ),
        Job("encode", "encode {d}/log.parquet", "cache", continues=True),
        Job("fit", FIT, "rm"),
        Job("resume", FIT, "rm"),
        Job(
            "tune",
            "fit naive {d}/log.parquet --out {d}/rm --epochs 2 --tune lora --rank 2 -o batch_size=64 "
            "--backbone {d}/lm,dtype=float32,max_length=16",
            "rm",
        ),
        Job("calibrate", "calibrate {d}/model {d}/log.parquet --out {d}/rm --feedback", "rm"),
        Job(
            "benchmark",
            "benchmark run {d}/run.yaml --out {d}/runs --jobs 2",
            "runs",
            continues=True,
        ),
        Job(
            "export",
            "export {d}/model {d}/out --allow-remote-code --reference {d}/log.parquet",
            "out",
        ),
        Job("report", "report {d}/model --log {d}/log.parquet --out {d}/page.html", "page.html"),
    )
}


def prepare(folder):
    """Write what the commands read."""
    folder.mkdir(parents=True)
    pl.DataFrame(
        {
            "prompt": [f"How do I undo step {i // 3}?" for i in range(ROWS)],
            "response": [
                f"Press undo {i} times, {'then' if i % 7 else 'or'} stop." for i in range(ROWS)
            ],
            "feedback": [(1.0, 0.0, None, 0.0, 1.0, None)[i % 6] for i in range(ROWS)],
        }
    ).write_parquet(folder / "log.parquet")
    rows = [
        {"response_id": f"r{i}", "prompt": f"What is {i}?", "response": f"It is {i}."}
        for i in range(2000)
    ]
    signals = [{"response_id": f"r{i}", "channel": "thumbs_up", "value": 1.0, "source": "user"}
               for i in range(0, 2000, 3)]  # fmt: skip
    for name, records in (("responses", rows), ("events", signals)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    (folder / "run.yaml").write_text(CONFIG)
    shutil.copytree(MODEL, folder / "model")
    shutil.copytree(ROOT / "golden" / "data" / "lm" / "llama", folder / "lm")


def whole(path):
    """Raise if a result, or any file in it, is not complete."""
    assert path.exists(), f"{path.name} is missing"
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    assert files, f"{path.name} is empty"
    for file in files:
        match file.suffix:
            case ".parquet":
                pl.read_parquet(file)
            case ".json":
                json.loads(file.read_text("utf-8"))
            case ".safetensors":
                with safe_open(file, "pt") as tensors:
                    for key in tensors.keys():  # noqa: SIM118 - it is no dict
                        tensors.get_tensor(key)
            case ".html":
                assert file.read_text("utf-8").rstrip().endswith("</html>"), file.name
            case _:
                assert file.stat().st_size, f"{file.name} is empty"


def scratch(folder):
    """Temporary names that a command has left."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if "trueward-" in p.name)
