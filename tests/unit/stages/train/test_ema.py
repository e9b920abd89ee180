"""Average of weights: the closed form of an exponential moving average."""

import copy

import torch

from mettle.stages.train.ema import Average


def test_weights_and_statistics_follow_in_closed_form_and_counts_are_taken_over():
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    average, expected = Average(net, 0.9), copy.deepcopy(net.state_dict())
    for _ in range(5):
        with torch.no_grad():
            for value in net.parameters():
                value.add_(torch.randn_like(value))
        net(torch.randn(8, 3))
        average.update(net)
        for key, value in net.state_dict().items():
            expected[key] = 0.9 * expected[key] + 0.1 * value if value.is_floating_point() else value.clone()
    for key, value in average.model.state_dict().items():
        torch.testing.assert_close(value, expected[key], rtol=1e-5, atol=1e-6)
    assert average.model[1].num_batches_tracked == 5


def test_the_average_is_no_part_of_the_training():
    net = torch.nn.Linear(2, 2)
    average = Average(net, 0.5)
    assert not average.model.training
    assert not any(value.requires_grad for value in average.model.parameters())
    average.update(net)
    assert all(value.requires_grad for value in net.parameters())
