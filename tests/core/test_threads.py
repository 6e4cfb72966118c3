"""Work in threads gives what the loop gives, and leaves torch as it was."""

import threading

import pytest
import torch

from trueward.core.threads import in_threads


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_come_in_the_order_of_the_parts(threads):
    assert in_threads(lambda n: n * n, list(range(20)), threads) == [n * n for n in range(20)]


def test_parts_run_at_once_with_one_torch_thread_each():
    both = threading.Barrier(2, timeout=20)

    def work(_):
        both.wait()
        return torch.get_num_threads()

    assert in_threads(work, [0, 1], 2) == [1, 1]


@pytest.mark.parametrize("wrong", [False, True])
def test_the_threads_of_torch_are_restored(wrong):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        if wrong:
            with pytest.raises(ZeroDivisionError):
                in_threads(lambda n: 1 // n, [0, 1, 2], 2)
        else:
            in_threads(abs, [-1, 1], 2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
