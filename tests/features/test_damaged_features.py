"""Files of features whose headers lie are one sentence, without the memory that they ask for."""

import json
import struct
import warnings

import numpy as np
import polars as pl
import pytest

from trueward.core.errors import TruewardError
from trueward.data.log_reading import read_log
from trueward.features import precomputed

N = 6
HUGE = 10**15


@pytest.fixture(scope="module")
def log():
    texts = [f"text {i}" for i in range(N)]
    return read_log(pl.DataFrame({"prompt": texts, "response": texts, "feedback": [1.0, 0.0] * 3}))


def npy(header):
    """Return the bytes of an .npy file with this header and data for 6 rows of 4 numbers."""
    raw = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw + bytes(N * 4 * 4)


def header(descr="'<f4'", order="False", shape=f"({N}, 4)"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


def test_the_header_of_a_good_file(log, tmp_path):
    (tmp_path / "x.npy").write_bytes(npy(header()))
    assert precomputed(tmp_path / "x.npy", log).x.shape == (N, 4)
    np.save(tmp_path / "x.npy", np.asfortranarray(np.ones((N, 3))))
    assert precomputed(tmp_path / "x.npy", log).x.shape == (N, 3)


HEADERS = {
    "too many rows": header(shape=f"({HUGE}, 4)"),
    "too wide": header(shape=f"({N}, {HUGE})"),
    "rows beyond 64 bits": header(shape=f"({2**64}, 4)"),
    "negative": header(shape="(-1, 4)"),
    "a truth value": header(shape=f"({N}, True)"),
    "no rows": header(shape="(0, 4)"),
    "no table": header(shape="()"),
    "too many axes": header(shape=f"({N}, 4{', 1' * 70})"),
    "objects": header(descr="'|O'"),
    "records": header(descr="[('a', '<f4')]"),
    "long texts": header(descr="'<U400000000'"),
    "no type": header(descr="'zz'"),
    "other bytes": header(descr="'>f4'"),
    "complex": header(descr="'<c8'"),
    "order": header(order="7"),
    "code": "__import__('os').system('true')",
    "power": header(shape="(10**18, 4)"),
    "brackets": "[" * 5000,
    "cut off": "{",
    "empty": "",
}


@pytest.mark.parametrize("descr", ["'<f4'", "{}", "[('a', '<f4')]"])
def test_a_header_with_more_numbers_than_64_bits_count_is_a_sentence_and_no_warning(
    log, tmp_path, descr
):
    (tmp_path / "x.npy").write_bytes(npy(header(descr=descr, shape=f"({2**62}, {2**62})")))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(TruewardError, match=r"x\.npy"):
            precomputed(tmp_path / "x.npy", log)
    assert not seen


@pytest.mark.parametrize("name", HEADERS)
def test_an_npy_file_with_another_header_is_one_sentence(log, tmp_path, name):
    (tmp_path / "x.npy").write_bytes(npy(HEADERS[name]))
    with pytest.raises(TruewardError, match=r"x\.npy|features should be numbers"):
        precomputed(tmp_path / "x.npy", log)


@pytest.mark.parametrize(
    "raw", [b"", b"\x93NUMPY", b"\x93NUMPY\x09\x09", b"PK\x03\x04", b"\x80\x04."]
)
@pytest.mark.parametrize("ending", ["npy", "npz", "safetensors", "parquet"])
def test_a_file_of_other_bytes_is_one_sentence(log, tmp_path, raw, ending):
    (tmp_path / f"x.{ending}").write_bytes(raw)
    with pytest.raises(TruewardError, match="check that it is complete"):
        precomputed(tmp_path / f"x.{ending}", log)


def safetensors(header, data=b""):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff" * 8,
        safetensors(b"[" * 5000),
        safetensors({"x": {"dtype": "F32", "shape": [N, 4], "data_offsets": [0, HUGE]}}),
        safetensors(
            {"x": {"dtype": "F32", "shape": [N, 2**62], "data_offsets": [0, 16]}}, bytes(16)
        ),
        safetensors({"x": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]}}, bytes(8)),
        safetensors({"x": {"dtype": "F4", "shape": [N, 4], "data_offsets": [0, 12]}}, bytes(12)),
        safetensors({"x": {"dtype": "C64", "shape": [N, 4], "data_offsets": [0, 192]}}, bytes(192)),
    ],
)
def test_a_safetensors_file_with_another_header_is_one_sentence(log, tmp_path, raw):
    (tmp_path / "x.safetensors").write_bytes(raw)
    with pytest.raises(TruewardError, match=r"x\.safetensors"):
        precomputed(tmp_path / "x.safetensors", log)
