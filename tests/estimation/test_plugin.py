"""The stable module for authors of methods."""

import inspect

import pytest

from trueward import plugin


def test_the_names_are_sorted_and_described():
    assert plugin.__all__ == sorted(plugin.__all__)
    assert all(f"`{name}`" in plugin.__doc__ for name in plugin.__all__)


@pytest.mark.parametrize("name", plugin.__all__)
def test_a_function_or_class_is_documented(name):
    thing = getattr(plugin, name)
    if (inspect.isclass(thing) or inspect.isfunction(thing)) and thing is not plugin.Tensor:
        assert inspect.getdoc(thing)


def test_a_method_needs_nothing_but_the_stable_module():
    class Ranked(plugin.Method):
        """L = mean l(s, r): the reward is another head."""

        @property
        def heads(self):
            return {"reward": "x", "rank": "x"}

        def reward_form(self):
            return plugin.HeadLogit("rank")

        def loss(self, out, b):
            return plugin.bce(out.rank, b.y).mean()

    out = plugin.Columns(reward=plugin.Tensor([0.0]), rank=plugin.Tensor([2.0]))
    assert Ranked().reward(out).tolist() == [2.0]
    assert not Ranked().composed
