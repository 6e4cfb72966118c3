"""Public functions answer a wrong kind of argument by one sentence, and take what plainly means the same."""

import inspect

import numpy as np
import polars as pl
import pytest

import trueward as tw
from trueward.fitting.sweep import FitJob

# what each public function is called with; a name in capitals is made by `made`
VALID = {
    "read_log": {"source": "FRAME", "mapping": {}, "split": None, "pairs": None},
    "import_log": {"source": "auto", "paths": "MISSING", "out": None, "mapping": {}}
    | {"ask_key": None},
    "sample_unrated": {"log": "LOG", "per_rated": 1.0, "seed": 0},
    "plan_silent": {"log": "LOG", "width": 0.1, "seed": 0},
    "label_page": {
        "source": "LOG",
        "guideline": "Good or bad?",
        "annotators": ["a"],
        "mapping": {},
    },
    "merge_labels": {"files": ["MISSING"], "adjudicated": [], "plan": None, "seed": 0},
    "judge_responses": {"texts": "LOG", "judge": "JUDGE", "journal": None, "parallel": 1}
    | {"progress": print},
    "with_judge": {"log": "LOG", "source": "JUDGED", "mapping": {}},
    "inspect": {"log": "LOG"},
    "encode": {"table": "FEW", "backbone": "wordllama", "cache": False, "memory": None}
    | {"progress": False},
    "precomputed": {"source": "ARRAY", "table": "LOG", "key": None},
    "fit": {"method": "naive", "train": "FEEDBACK", "val": 0.2, "backbone": None, "epochs": 1}
    | {"method_options": None, "checkpoint": None, "progress": None, "seed": 0},
    "fit_many": {"jobs": "JOBS", "threads": 1, "ray": None, "epochs": 1},
    "tune": {"method": "naive", "log": "FEW", "backbone": "no/model", "into": "OUT", "how": "lora"}
    | {"rank": 4, "val": 0.2, "track": (), "run": None},
    "load": {"folder": "FOLDER"},
    "allow_endpoint": {"address": "http://127.0.0.1:1/v1"},
    "read_test": {"source": "TESTFRAME", "mapping": {}, "split": None},
    "evaluate": {"model": "MODEL", "test": "LABELLED", "cluster": "prompt", "draws": 0, "seed": 0},
    "evaluate_comparisons": {"model": "MODEL", "pairs": "PAIRS", "log": None, "mapping": {}}
    | {"cluster": "prompt"},
    "evaluate_pairs": {"model": "MODEL", "source": "FRAME", "benchmark": "rewardbench"},
    "audit": {"model": "MODEL", "log": "FEEDBACK", "future": False, "chosen": False, "seed": 0},
    "calibrate": {"model": "MODEL", "log": "FEEDBACK", "chosen": False, "seed": 0},
    "plan": {"model": "MODEL", "log": "FEEDBACK", "metric": "good", "width": 0.2}
    | {"draw": "uniform", "seed": 0},
    "sensitivity": {"model": "MODEL", "log": "FEEDBACK", "seed": 0},
    "bounds": {"model": "MODEL", "log": "FEEDBACK", "compare": None, "reference": None}
    | {"covariates": None, "rho_01": 0.0, "rho_10": 0.0, "seed": 0},
    "ask": {"response_id": "a", "p": 0.5, "key": "k", "levels": 1, "earlier": 0, "per_day": 3},
    "plan_asks": {"responses": 1000, "width": 0.1, "answering": 0.5, "unasked": 0.1, "up": 0.7},
    "check_asks": {"log": "LOG", "key": None},
    "asked_share": {"log": "LOG"},
    "refute": {"method": "naive", "log": "FEEDBACK", "only": "duplicate_prompts", "texts": None}
    | {"seed": 0, "progress": None},
    "report": {"what": "MODEL", "log": None, "test": None, "seed": 0, "rows": 20, "command": None}
    | {"drift": None},
    "track": {"folder": "MISSING", "to": "tensorboard", "run": None},
    "export": {"model": "MODEL", "folder": "OUT", "prompts": ["a"], "responses": ["b"]}
    | {"dtype": None, "form": None},
    "verify_export": {"folder": "MISSING", "prompts": None, "responses": None, "url": None}
    | {"model": None, "rounding": 0.1},
    "training_data": {"kind": "trl-kto", "model": "MODEL", "log": "FEW", "least": 0.5},
    "align": {"policy": "MISSING", "rewards": ["MISSING"], "prompts": ["a"], "out": "OUT"}
    | {"settings": None, "weights": None, "origin": None, "track": ()},
    "simulate": {"rated": "TESTFRAME", "mechanism": "rating", "alpha": 0.5, "rate": None}
    | {"rho_01": 0.0, "rho_10": 0.0, "gold": 0, "test_share": 0.2, "threshold": None, "seed": 0}
    | {"options": None},
    "leaderboard": {"source": "MISSING", "pairs": None, "mapping": {}, "control": ()}
    | {"sources": (), "cluster": "both"},
    "monitor": {"model": "MODEL", "reference": "LOG", "log": "LATER", "by": None, "since": None}
    | {"alpha": 0.05, "tolerance": None, "seed": 0},
    "push": {"model": "MISSING", "log": "LOG", "to": "langfuse", "address": None, "resume": None}
    | {"per_minute": None, "mapping": None, "split": None, "dry_run": True},
    "methods": {},
    "card": {"method": "naive"},
}
WRONG = (
    None,
    5,
    -1.5,
    "no such thing",
    True,
    [],
    [3],
    {},
    {"a": 1},
    object(),
    tw.Train(),
    np.ones(3),
    tw.Train,
)
NOT_TRIED = {
    "say",
    "scratch",
    "reading",
    "hash_users",
    "redact",
    "phone_regions",
    "strict",
    "features",
}


@pytest.fixture
def made(frame, feedback, model, folder, tmp_path):
    few = tw.read_log(frame.drop("label").head(8))
    train, val = feedback.split(0.25)
    return {
        "FRAME": frame.drop("label"),
        "TESTFRAME": frame.select("prompt", "response", "label"),
        "LOG": few,
        "LATER": tw.read_log(frame.drop("label").tail(8)),
        "FEW": few,
        "FEEDBACK": feedback,
        "LABELLED": tw.Labelled(feedback.x, feedback.y, group=feedback.group),
        "MODEL": model,
        "FOLDER": folder,
        "ARRAY": np.ones((len(few), 2), np.float32),
        "JOBS": [FitJob("naive", train, val)],
        "OUT": tmp_path / "out",
        "JUDGE": None,  # every call ends at this argument, before a server is asked
        "JUDGED": few.frame.select("prompt", "response", judge=1.0),
        "MISSING": tmp_path / "missing",
        "PAIRS": few.frame.group_by("prompt", maintain_order=True).agg(
            chosen=pl.col("response").first(), rejected=pl.col("response").last()
        ),
    }


def test_every_public_function_is_tried():
    functions = {n for n in tw.__all__ if inspect.isfunction(getattr(tw, n))}
    assert set(VALID) == functions
    for name, given in VALID.items():
        parameters = inspect.signature(getattr(tw, name)).parameters
        named = {n for n, p in parameters.items() if p.kind is not p.VAR_KEYWORD}
        switches = {n for n, p in parameters.items() if isinstance(p.default, bool)}
        tried = set(given) | switches | NOT_TRIED
        assert named <= tried | {"cluster", "frozen", "feedback", "logged", "shown", "scale"} | {
            *("positive", "negative", "unrated", "mapping", "split", "progress", "checkpoint"),
            *("method_options", "texts"),
        }, name


@pytest.mark.parametrize("name", VALID)
def test_a_wrong_kind_of_argument_is_one_sentence(name, made, monkeypatch, tmp_path):
    """No AttributeError, KeyError, TypeError or IndexError comes from inside."""
    monkeypatch.chdir(tmp_path)  # a wrong text may name a folder to write
    monkeypatch.setattr("trueward.fitting.fit.train_net", _stop)
    monkeypatch.setattr("trueward.fitting.sweep.train_nets", _stop)
    monkeypatch.setattr(tw.RewardModel, "score_features", _stop)
    for parameter in VALID[name]:
        for wrong in (*WRONG, made["LABELLED"], made["FEEDBACK"], made["LOG"], made["MODEL"]):
            if wrong is made["MODEL"] and parameter in {"what", "model"}:
                continue
            given = {k: _value(v, made) for k, v in VALID[name].items()} | {parameter: wrong}
            try:
                getattr(tw, name)(**given)
            except (tw.TruewardError, StoppedError):
                continue
            except Exception as e:  # noqa: BLE001 - the point of the test
                pytest.fail(f"{name}({parameter}={wrong!r:.80}): {type(e).__name__}: {e}")


class StoppedError(Exception):
    """Raised in the place of a training: the arguments have passed."""


def _stop(*_args, **_kwargs):
    raise StoppedError


def _value(value, made):
    if isinstance(value, list):
        return [_value(v, made) for v in value]
    return made.get(value, value) if isinstance(value, str) else value
