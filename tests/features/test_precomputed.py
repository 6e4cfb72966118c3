"""Precomputed features keep their rows and precision; experiments leak no clean label."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import save_file

from trueward.core.errors import TruewardError, UsageError
from trueward.data.log import Log
from trueward.data.truth import Test
from trueward.features import encode, precomputed

X = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
LOG = Log(
    pl.DataFrame(
        {
            "prompt": ["a", "b", "c"],
            "response": ["x", "y", "z"],
            "feedback": [1.0, 0.0, None],
            "prompt_id": ["a", "b", "c"],
        }
    ),
    "log.csv",
)


def write(folder, kind, x=X):
    a = x.float().numpy()
    path = folder / f"x.{kind.split()[0]}"
    match kind:
        case "safetensors":
            save_file({"x": x}, path)
        case "npy":
            np.save(path, a)
        case "npz":
            np.savez(path, features=a, other=np.zeros(7))
        case "parquet list":
            pl.DataFrame({"id": [7] * len(a), "vector": a.tolist()}).write_parquet(path)
        case "parquet array":
            series = pl.Series("vector", a.tolist(), dtype=pl.Array(pl.Float32, a.shape[1]))
            pl.DataFrame([series]).write_parquet(path)
        case "parquet columns":
            frame = pl.DataFrame(a, schema=[f"v{i}" for i in range(a.shape[1])])
            frame.with_columns(note=pl.lit("text")).write_parquet(path)
    return path


KINDS = ["safetensors", "npy", "npz", "parquet list", "parquet array", "parquet columns"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_type_gives_the_rows_in_order(tmp_path, kind):
    data = encode(LOG, f"precomputed:{write(tmp_path, kind)}")
    assert data.x.tolist() == X.tolist()
    assert data.y.tolist() == [1, 0, 0]
    assert data.o.tolist() == [1, 1, 0]
    assert data.backbone is None  # the model cannot score text


@pytest.mark.parametrize("kind", KINDS)
def test_another_number_of_rows_is_an_error_with_both_numbers(tmp_path, kind):
    with pytest.raises(TruewardError, match=r"has 3, but .* has 2"):
        precomputed(write(tmp_path, kind, X[:2]), LOG)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_an_error_with_row_and_column(tmp_path, kind, bad):
    x = X.clone()
    x[2, 1] = bad
    with pytest.raises(TruewardError, match="row 3, column 2"):
        precomputed(write(tmp_path, kind, x), LOG)


def test_a_test_takes_precomputed_features():
    frame = LOG.frame.select("prompt", "response", "prompt_id", label=pl.lit(1.0))
    assert precomputed(X, Test(frame, "test.csv")).r.tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_half_and_single_precision_are_kept(tmp_path, dtype):
    save_file({"x": X.to(dtype)}, tmp_path / "x.safetensors")
    assert precomputed(tmp_path / "x.safetensors", LOG).x.dtype == dtype


def test_float64_and_integers_become_float32():
    assert precomputed(X.double().numpy(), LOG).x.dtype == torch.float32
    assert precomputed(X.long(), LOG).x.dtype == torch.float32


def test_an_array_is_not_copied():
    assert precomputed(X, LOG).x.data_ptr() == X.data_ptr()


def test_the_key_selects_one_of_several_tables(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"left": X, "right": X + 1}, path)
    with pytest.raises(UsageError, match="left, right"):
        precomputed(path, LOG)
    assert precomputed(path, LOG, key="right").x[0, 0] == 2
    with pytest.raises(UsageError, match="'middle'"):
        precomputed(path, LOG, key="middle")


@pytest.mark.parametrize("name", ["x.safetensors", "x.npy", "x.npz", "x.parquet"])
@pytest.mark.parametrize("content", [b"", b"not a table of numbers at all"])
def test_a_file_of_another_type_than_its_name_is_an_error(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TruewardError, match="could not be read"):
        precomputed(tmp_path / name, LOG)


def test_an_absent_or_unsupported_file_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        precomputed(tmp_path / "x.npy", LOG)
    (tmp_path / "x.pkl").touch()
    with pytest.raises(UsageError, match=r"\.safetensors, \.npy"):
        precomputed(tmp_path / "x.pkl", LOG)


def test_pickled_objects_are_never_loaded(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{"a": 1}] * 3), allow_pickle=True)
    with pytest.raises(TruewardError, match="could not be read"):
        precomputed(tmp_path / "x.npy", LOG)


def test_vectors_of_different_lengths_are_an_error(tmp_path):
    pl.DataFrame({"v": [[1.0, 2.0], [1.0], [2.0, 3.0]]}).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(TruewardError, match=r"row 2 .* has 1"):
        precomputed(tmp_path / "x.parquet", LOG)


def test_one_number_per_row_is_an_error():
    with pytest.raises(TruewardError, match=r"shape \(3,\)"):
        precomputed(torch.zeros(3), LOG)


# --- experiments ------------------------------------------------------------------------------


def experiment(path, **changed):
    parts = {
        "X_train": X.bfloat16(),
        "y_train_binary": torch.tensor([1.0, 1.0, 0.0]),
        "y_train": torch.tensor([4.0, 3.0, 0.0]),
        "mask_train": torch.tensor([1.0, 0.0, 1.0]),
        "propensity_train": torch.tensor([0.5, 0.25, 0.75]),
        "X_val": X[:2].bfloat16(),
        "y_val_binary": torch.tensor([1.0, 1.0]),
        "mask_val": torch.tensor([0.0, 1.0]),
        "X_test": X[1:].bfloat16(),
        "y_test_binary": torch.tensor([0.0, 1.0]),
        "y_test": torch.tensor([1.5, 3.5]),
        **changed,
    }
    save_file({k: v for k, v in parts.items() if v is not None}, path)
    return path


def test_clean_labels_without_observation_are_dropped(tmp_path):
    train, val, test = precomputed(experiment(tmp_path / "e.safetensors"))
    assert train.y.tolist() == [1, 0, 0]  # the clean label of row 2 is 1, but its mask is 0
    assert train.o.tolist() == [1, 0, 1]
    assert val.y.tolist() == [0, 1]
    assert val.o.tolist() == [0, 1]
    assert test.r.tolist() == [0, 1]
    assert test.rating.tolist() == [1.5, 3.5]


def test_a_logged_propensity_is_a_known_nuisance(tmp_path):
    train, val, _ = precomputed(experiment(tmp_path / "e.safetensors"))
    assert train.eta.propensity.tolist() == [0.5, 0.25, 0.75]
    assert not val.eta


def test_labels_may_be_integers_booleans_or_columns(tmp_path):
    path = experiment(
        tmp_path / "e.safetensors",
        y_train_binary=torch.tensor([[1], [1], [0]]),
        mask_train=torch.tensor([True, False, True]),
        y_test=None,
    )
    train, _, test = precomputed(path)
    assert train.y.tolist() == [1, 0, 0]
    assert test.rating is None


def test_the_half_precision_of_an_experiment_is_kept(tmp_path):
    train, val, test = precomputed(experiment(tmp_path / "e.safetensors"))
    assert {train.x.dtype, val.x.dtype, test.x.dtype} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mask_val": None}, "lacks mask_val"),
        ({"mask_train": torch.zeros(2)}, "mask_train .* 3 rows of X_train, and has 2"),
        ({"X_val": torch.zeros(2, 5)}, "2 columns of X_train, and has 5"),
        ({"X_test": torch.tensor([[0.0, float("nan")], [1.0, 1.0]])}, "X_test .* row 1, column 2"),
        ({"y_train_binary": torch.tensor([0.0, 2.0, 1.0])}, r"\[0, 1\], and is 2.0 in row 2"),
        ({"y_test": torch.tensor([float("nan"), 1.0])}, "y_test .* row 1"),
    ],
)
def test_an_inconsistent_experiment_is_an_error(tmp_path, changed, message):
    with pytest.raises(TruewardError, match=message):
        precomputed(experiment(tmp_path / "e.safetensors", **changed))


def test_an_experiment_takes_no_log(tmp_path):
    with pytest.raises(UsageError, match="without a log"):
        precomputed(experiment(tmp_path / "e.safetensors"), LOG)


def test_plain_vectors_need_a_log(tmp_path):
    with pytest.raises(TruewardError, match="lacks"):
        precomputed(write(tmp_path, "safetensors"))
    with pytest.raises(UsageError, match="give the log"):
        precomputed(X)
