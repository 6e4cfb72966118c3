"""Models that earlier versions saved: read with the scores of then, or refused in a sentence.

Each folder was written by the code of its format, on 400 random rows of three features, with the scores
that it gave for ``x``.
"""

import json
from pathlib import Path

import pytest
import torch

import trueward as tw
from trueward.model.folder import EARLIER, FORMAT

FOLDER = Path(__file__).parents[1] / "fixtures" / "formats"
SCORES = json.loads((FOLDER / "scores.json").read_text())


def test_every_format_that_is_read_has_a_model_of_its_time():
    assert {int(name[0]) for name in SCORES["preferred"]} == set(EARLIER)
    assert max(EARLIER) == FORMAT - 1


@pytest.mark.parametrize("name", SCORES["preferred"])
def test_a_model_of_an_earlier_format_scores_as_it_did(name, tmp_path):
    x, wanted = torch.tensor(SCORES["x"]), torch.tensor(SCORES["preferred"][name])
    model = tw.load(FOLDER / name)
    torch.testing.assert_close(model.score_features(x).preferred, wanted, atol=1e-6, rtol=1e-6)
    model.save(tmp_path / "rm")  # which migrates it
    assert json.loads((tmp_path / "rm" / "model.json").read_text())["format"] == FORMAT
    again = tw.load(tmp_path / "rm").score_features(x).preferred
    torch.testing.assert_close(again, wanted, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ["1-three_outcome", "2-anchored"])
def test_a_reward_that_was_computed_in_another_way_is_refused(name):
    with pytest.raises(tw.TruewardError, match="was computed in another way, so"):
        tw.load(FOLDER / name)
