"""A stream depends on seed and name only, and streams are independent."""

import torch

from trueward.core.random import numpy_stream, stream_seed, torch_stream


def test_seeds_are_fixed_for_all_time():
    assert stream_seed(0, "split") == 6812300375708456965
    assert stream_seed(3, "batches", 2) == 8764992455407771840


def test_a_stream_starts_again_whatever_others_have_drawn():
    first = torch.rand(5, generator=torch_stream(0, "a"))
    torch.rand(100, generator=torch_stream(0, "b"))
    assert torch.equal(first, torch.rand(5, generator=torch_stream(0, "a")))
    assert (numpy_stream(1, "a").random(5) == numpy_stream(1, "a").random(5)).all()


def test_seed_and_every_part_of_the_name_count():
    names = [(0, "a"), (1, "a"), (0, "b"), (0, "a", 0), (0, "a", 1), (0, "a1")]
    seeds = [stream_seed(*name) for name in names]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
