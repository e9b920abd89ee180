"""Stores of few images, a classifier to start from, and a training that others are compared with."""

import dense_trainings
import pytest


@pytest.fixture(scope="session")
def streets_stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streets")
    return dense_trainings.store(folder, "train", 12), dense_trainings.store(folder, "test", 5)


@pytest.fixture(scope="session")
def classifier(tmp_path_factory):
    return dense_trainings.base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory, streets_stores):
    folder = tmp_path_factory.mktemp("trained")
    found, job = dense_trainings.run(folder, streets_stores, dense_trainings.recipe(validation={"every": 1}))
    return folder, found, job
