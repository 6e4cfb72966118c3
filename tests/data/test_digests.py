"""Ids of prompts are the same values in every release, wherever they are computed."""

import polars as pl

from trueward.data.digests import fingerprint, prompt_ids, text_id
from trueward.data.log_reading import read_log


def test_an_id_is_the_start_of_the_sha_256():
    assert text_id("Name a tree.") == "d8ba9a771c6b9275"
    assert text_id("Name a tree.", digits=8) == "d8ba9a77"
    assert text_id("") == "e3b0c44298fc1c14"
    assert text_id("\ud83d") == text_id("?")


def test_a_log_and_a_rated_table_give_a_prompt_the_same_id():
    frame = pl.DataFrame({"prompt": ["a", "b", "a"], "response": ["c"] * 3, "feedback": [1, 0, 1]})
    wanted = [text_id(p) for p in ("a", "b", "a")]
    assert prompt_ids(frame["prompt"]).to_list() == wanted
    assert read_log(frame).frame["prompt_id"].to_list() == wanted


def test_a_fingerprint_depends_on_values_types_and_nulls():
    frames = [
        pl.DataFrame({"a": [1.0, None]}),
        pl.DataFrame({"a": [1.0, 0.0]}),
        pl.DataFrame({"b": [1.0, None]}),
        pl.DataFrame({"a": ["1.0", None]}),
    ]
    assert len({fingerprint(frame) for frame in frames}) == len(frames)
    assert fingerprint(pl.DataFrame({"a": [-0.0]})) == fingerprint(pl.DataFrame({"a": [0.0]}))
