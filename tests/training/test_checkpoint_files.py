"""A checkpoint whose header or tensors are not those of its fit is refused, and changes nothing silently."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from trueward.core.errors import TruewardError
from trueward.training.checkpoints import Checkpoints
from trueward.training.config import Train
from trueward.training.networks import Net, Shape
from trueward.training.training_state import TrainingState, make_optimizer


def state():
    net = Net(Shape({"x": 3}, {"reward": "x"}, (4,), members=2), 0, "reward")
    best = [p.detach().clone() for p in net.parameters()]
    return TrainingState(net, make_optimizer(net, Train()), best, [0.5, 0.6], [0, 1], 3, [0.4, 0.5])


@pytest.fixture
def saved(tmp_path):
    """The folder of a checkpoint, which is damaged in some way."""
    place = Checkpoints.at(tmp_path / "fit", "key")
    place.save("reward", state())
    return place


def change(place, tensor=None, **numbers):
    path = place.folder / "reward.safetensors"
    with safe_open(path, "pt") as file:
        metadata, tensors = file.metadata(), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    header = json.loads(metadata["state"]) | numbers
    metadata["state"] = numbers.get("text") or json.dumps(header)
    if tensor is not None:
        tensors["0.now"] = tensor
    save_file(tensors, path, metadata)


def test_a_state_comes_back_as_it_was_saved(saved):
    change(saved, value=[float("inf"), 0.1])
    restored = state()
    saved.resume("reward", restored)
    assert (restored.best_loss, restored.waited, restored.epoch) == ([float("inf"), 0.1], [0, 1], 3)


@pytest.mark.parametrize(
    "numbers",
    [
        *(
            {"text": "{"},
            {"text": "[" * 5000},
            {"text": "[]"},
            {"text": '{"epoch": 1}'},
            {"epoch": -1},
        ),
        *({"epoch": "3"}, {"epoch": 1e300}, {"epoch": None}, {"epoch": True}, {"waited": "ab"}),
        *(
            {"waited": [0]},
            {"waited": [0, -1]},
            {"waited": [0, 1e9]},
            {"value": 0.5},
            {"value": []},
        ),
        *(
            {"value": ["a", "b"]},
            {"value": [0.5, None]},
            {"kept": {"a": 1, "b": 2}},
            {"kept": [1.0] * 3},
        ),
    ],
    ids=str,
)
def test_a_damaged_state_is_one_sentence(saved, numbers):
    change(saved, **numbers)
    with pytest.raises(
        TruewardError, match=r"reward\.safetensors is damaged .*; delete .* --resume"
    ):
        saved.resume("reward", state())


@pytest.mark.parametrize("shape", [(), (1,), (2, 3, 1), (2, 4, 3)])
def test_a_tensor_of_another_shape_is_not_broadcast(saved, shape):
    change(saved, tensor=torch.zeros(shape))
    with pytest.raises(TruewardError, match="a tensor has another shape than the network"):
        saved.resume("reward", state())
