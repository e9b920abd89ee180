"""Predictive multiplicity of a group of models."""

import numpy as np

from mettle.stages.tabulate.multiplicity import ambiguity, discrepancy


def test_by_hand():
    group = [np.array([0, 1, 2, 3]), np.array([0, 1, 2, 0]), np.array([1, 1, 2, 3])]
    assert ambiguity(group) == 0.5
    assert discrepancy(group) == 0.5
    for alike in (group[:1] * 2, group[:1]):
        assert ambiguity(alike) == discrepancy(alike) == 0
