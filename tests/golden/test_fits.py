"""A fit with a seed comes to the numbers it came to: no stream of random numbers has changed its name."""

import pytest
from golden import cases
from golden.fits import fitted
from golden.world import differences, read

FITS = read("fits.json")
# On one machine a fit is the same to the last bit. Features that differ by 3e-7 of themselves, as rounding on
# another CPU may make them, move a reward of these by less than 1e-5; another seed moves it by more than 0.5.
CLOSE = {"atol": 1e-3, "rtol": 1e-3}
REPORTED = {"atol": 1e-2, "rtol": 1e-2}  # of numbers that a report rounds for reading


def test_every_form_of_every_method_is_here():
    assert FITS.keys() == cases.every().keys()


@pytest.mark.parametrize("name", FITS)
def test_a_fit_comes_to_the_same_numbers(name):
    found, wanted = fitted(name), dict(FITS[name])
    wrong = differences(found.pop("nuisances"), wanted.pop("nuisances"), **REPORTED)
    wrong += differences(found, wanted, **CLOSE)
    assert not wrong, "\n".join(wrong[:10])


@pytest.mark.parametrize(
    "name", ["naive", "ips", "dr", "three_outcome", "bpr log=clicks", "anchored nuisance_width=4"]
)
def test_another_seed_comes_to_others(name):
    other = fitted(name, seed=1)["scores"]["reward"]
    moved = max(abs(a - b) for a, b in zip(other, FITS[name]["scores"]["reward"], strict=True))
    assert moved > 100 * CLOSE["atol"]
