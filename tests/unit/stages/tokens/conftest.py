"""A store of digits, and a small vision transformer that was trained on them for a moment, as a base of tokens."""

import pytest

from learners import digit_store, small_vit


@pytest.fixture(scope="session")
def some_digits(tmp_path_factory):
    return digit_store(tmp_path_factory.mktemp("digits"), "train", 48)


@pytest.fixture(scope="session")
def trained(some_digits, tmp_path_factory):
    """Weights of a network that has seen the digits; `trained.parents[1]` is the folder of all models."""
    return small_vit(tmp_path_factory.mktemp("train"), some_digits, 25)
