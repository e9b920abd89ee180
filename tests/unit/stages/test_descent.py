"""Inversion: exact where the way is known, equal to a plain form, never worse than the seed."""

import copy
import io
import itertools

import pytest
import torch
from torch import nn

from mettle import models
from mettle.stages.invert.descent import invert, relative_distance

CPU = models.policy(1)
SHAPE = (3, 8, 8)
SIZE = 3 * 8 * 8
OPTIONS = {"steps": 40, "step_size": 0.125, "momentum": 0.9, "policy": CPU}


def classifier(*layers):
    """Features are what the layers make of the images, minus 0.5, in a row."""
    torch.manual_seed(0)
    return models.Classifier(nn.Sequential(*layers, nn.LazyLinear(5)), [0.5] * 3, [1.0] * 3, 8).eval()


def pixels(*behind):
    """A model whose features are the pixels, or what `behind` makes of them."""
    model = classifier(nn.Flatten(), *behind)
    model(images(1))
    return model


def network(norm=False):
    torch.manual_seed(0)
    middle = [nn.BatchNorm2d(8)] if norm else []
    model = classifier(nn.Conv2d(3, 8, 3, 2, 1), *middle, nn.Tanh(), nn.Conv2d(8, 6, 3, 2, 1), nn.Tanh(), nn.Flatten())
    model.train()(images(8))
    return model.eval()


def images(n, seed=0, low=0.0, high=1.0):
    return low + (high - low) * torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


def plain(model, seed, target, steps, step_size, momentum):
    """One image, every iterate and its loss kept, in float64; (image, start, loss, step) of the lowest."""
    model = copy.deepcopy(model).double().eval()
    x, wanted = seed[None].double(), model.both(target[None].double())[1].detach()
    m, iterates, losses = torch.zeros_like(x), [], []
    for step in range(steps + 1):
        x = x.detach().requires_grad_(True)
        loss = (model.both(x)[1] - wanted).pow(2).sum().sqrt() / wanted.pow(2).sum().sqrt()
        iterates.append(x.detach()[0])
        losses.append(loss.item())
        if step < steps:
            loss.backward()
            g = x.grad / x.grad.pow(2).sum().sqrt()
            m = momentum * m + (1 - momentum) * g
            x = (x - step_size * m).clamp(0, 1)
    best = min(range(steps + 1), key=losses.__getitem__)
    return iterates[best], losses[0], losses[best], best


def test_exact_where_the_way_is_a_line():
    # Features are pixels: without momentum every step goes straight to the target, `step_size` at a time.
    model, seeds, targets = pixels(), images(6, 0), images(6, 1)
    far = (targets - seeds).flatten(1).norm(dim=1)
    size = (targets - 0.5).flatten(1).norm(dim=1)
    found = invert(model, seeds, targets, **OPTIONS | {"steps": 12, "step_size": 0.25, "momentum": 0})
    way = (targets - seeds) / far[:, None, None, None]
    torch.testing.assert_close(found.images, seeds + 3.0 * way, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.start, far / size)
    torch.testing.assert_close(found.loss, (far - 3.0) / size, rtol=1e-4, atol=0)
    assert found.step.tolist() == [12] * 6 and (far > 3.25).all()


def test_past_the_target_the_nearest_iterate_is_kept():
    model, targets = pixels(), images(4, 1, 0.4, 0.6)
    way = torch.zeros_like(targets)
    way[:, 0, 0, 0] = 1
    seeds = targets + torch.tensor([0.33, 0.1, 0.0, 0.26])[:, None, None, None] * way
    found = invert(model, seeds, targets, **OPTIONS | {"steps": 9, "step_size": 0.1, "momentum": 0})
    assert found.step.tolist() == [3, 1, 0, 3]
    left = torch.tensor([0.03, 0.0, 0.0, -0.04])[:, None, None, None] * way
    torch.testing.assert_close(found.images, targets + left, rtol=0, atol=1e-6)


def test_steps_end_at_the_pixel_range():
    # The features of pixels beyond the range would be nearer to the target's, but no image has them.
    model = pixels(nn.Linear(SIZE, SIZE, bias=False))
    model.network[1].weight.data = torch.eye(SIZE)
    targets = images(4, 1) * 3 - 1
    found = invert(model, images(4), targets, **OPTIONS | {"steps": 300, "momentum": 0.5})
    assert found.images.min() == 0 and found.images.max() == 1
    torch.testing.assert_close(found.images, targets.clamp(0, 1), rtol=0, atol=0.05)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("step_size", [0.125, 1.0])
def test_equal_to_the_plain_form(momentum, step_size):
    model, seeds, targets = network(), images(5, 0), images(5, 1)
    about = {"steps": 40, "step_size": step_size, "momentum": momentum}
    found = invert(model, seeds, targets, policy=CPU, **about)
    known = [plain(model, seed, target, **about) for seed, target in zip(seeds, targets, strict=True)]
    for place, (image, start, loss, step) in enumerate(known):
        torch.testing.assert_close(found.images[place].double(), image, rtol=0, atol=1e-3)
        assert found.start[place].item() == pytest.approx(start, rel=1e-5)
        assert found.loss[place].item() == pytest.approx(loss, rel=1e-3)
        assert found.step[place].item() == step
    if step_size == 1.0:
        assert min(step for *_, step in known) < 40, "the last iterate is the best everywhere: keeping goes untested"


@pytest.mark.parametrize("step_size", [0.125, 50.0])
def test_an_image_is_never_worse_than_its_seed(step_size):
    model, seeds, targets = network(norm=True), images(32, 0), images(32, 1)
    found = invert(model, seeds, targets, **OPTIONS | {"step_size": step_size})
    assert (found.loss <= found.start).all() and found.images.min() >= 0 and found.images.max() <= 1
    torch.testing.assert_close(relative_distance(model, seeds, targets, CPU), found.start)
    torch.testing.assert_close(relative_distance(model, found.images, targets, CPU), found.loss, rtol=1e-5, atol=1e-6)
    if step_size == 0.125:
        assert (found.loss < 0.5 * found.start).all()


def test_more_steps_never_raise_the_loss():
    model, seeds, targets = network(), images(16, 0), images(16, 1)
    losses = [invert(model, seeds, targets, **OPTIONS | {"steps": steps}).loss for steps in (0, 1, 5, 25)]
    assert all((later <= earlier).all() for earlier, later in itertools.pairwise(losses))
    torch.testing.assert_close(losses[0], relative_distance(model, seeds, targets, CPU))


def test_batches_decide_nothing():
    model, seeds, targets = network(norm=True), images(12, 0), images(12, 1)
    whole = invert(model, seeds, targets, **OPTIONS)
    parts = [invert(model, seeds[at : at + 5], targets[at : at + 5], **OPTIONS) for at in (0, 5, 10)]
    torch.testing.assert_close(torch.cat([part.images for part in parts]), whole.images, rtol=0, atol=1e-3)
    torch.testing.assert_close(torch.cat([part.loss for part in parts]), whole.loss, rtol=1e-3, atol=1e-5)


def test_model_seeds_and_targets_stay_as_they_were():
    model, seeds, targets = network(norm=True).train(), images(8, 0), images(8, 1)
    before, held = copy.deepcopy(model.state_dict()), (seeds.clone(), targets.clone())
    found = invert(model, seeds, targets, **OPTIONS)
    assert model.training and all(parameter.requires_grad for parameter in model.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(seeds, held[0]) and torch.equal(targets, held[1])
    torch.testing.assert_close(found.loss, invert(model.eval(), seeds, targets, **OPTIONS).loss)
    assert not any(value.requires_grad for value in vars(found).values())


def test_channels_last_changes_only_rounding():
    model, seeds, targets = network(), images(8, 0), images(8, 1)
    first = invert(model, seeds, targets, **OPTIONS)
    placed = CPU.place(copy.deepcopy(model))
    second = invert(placed, CPU.move(seeds), CPU.move(targets), **OPTIONS)
    assert second.images.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(first.images, second.images, rtol=0, atol=1e-3)


def test_bf16_passes_give_float32_images_that_are_nearly_as_good():
    model, seeds, targets = network(norm=True), images(16, 0), images(16, 1)
    rough = invert(model, seeds, targets, **OPTIONS | {"policy": models.Policy(torch.device("cpu"), "bf16")})
    assert rough.images.dtype == rough.loss.dtype == rough.start.dtype == torch.float32
    exact = invert(model, seeds, targets, **OPTIONS)
    assert not torch.equal(rough.images, exact.images)
    assert (relative_distance(model, rough.images, targets, CPU) < exact.loss + 0.05).all()


def test_a_seed_that_is_its_target_stays_without_nan():
    model, seeds = network(), images(4)
    targets = seeds.clone()
    targets[0] = images(1, 1)[0]
    found = invert(model, seeds, targets, **OPTIONS)
    assert torch.equal(found.images[1:], seeds[1:]) and found.step[1:].tolist() == [0] * 3
    assert found.loss[1:].tolist() == found.start[1:].tolist() == [0.0] * 3
    assert found.loss[0] < found.start[0]


def test_a_gradient_whose_square_is_no_float32_still_leads():
    model = pixels(nn.Linear(SIZE, SIZE), nn.Softplus())
    model.network[1].weight.data = 60 * torch.eye(SIZE)
    model.network[1].bias.data.fill_(-28.0)
    found = invert(model, images(3, 0, 0.0, 0.01), images(3, 1, 0.97, 1.0), **OPTIONS)
    # Softplus of -58 has the slope 6e-26.
    assert (found.start == 1).all() and (found.loss < found.start).all()


@pytest.mark.parametrize("after", [1, 39, 40])
def test_a_kept_state_leads_to_the_same_result_bit_by_bit(after):
    model = CPU.place(network(norm=True))
    seeds, targets = CPU.move(images(8, 0)), CPU.move(images(8, 1))
    options = OPTIONS | {"step_size": 1.0}  # so that the best iterate is on the way
    file = io.BytesIO()

    def keep(state):
        if state()["step"] == after:
            torch.save(state(), file)

    whole = invert(model, seeds, targets, keep=keep, **options)
    file.seek(0)
    found = invert(model, seeds, targets, state=torch.load(file, weights_only=True), **options)
    assert all(torch.equal(value, getattr(whole, key)) for key, value in vars(found).items())
    assert (whole.step < 39).any(), "what is best lies behind all states: keeping it goes untested"


def test_steps_are_counted_while_they_are_made():
    made = []

    class Watch:
        def progress(self, items, text):
            for item in items:
                made.append((text, item))
                yield item

    invert(network(), images(2, 0), images(2, 1), watch=Watch(), **OPTIONS | {"steps": 3})
    assert made == [("inversion", 0), ("inversion", 1), ("inversion", 2)]


# Errors


def dead(where):
    """Features that are zero below `where` in every pixel."""
    model = pixels(nn.Linear(SIZE, SIZE), nn.ReLU())
    model.network[1].weight.data = torch.eye(SIZE)
    model.network[1].bias.data.fill_(0.5 - where)
    return model


def test_a_zero_gradient_at_the_seed_is_an_error():
    seeds, targets = images(5, 0, 0.8, 1.0), images(5, 1, 0.8, 1.0)
    seeds[[1, 3]] = 0.1
    message = r"^the gradient is exactly zero at the seed of images 11, 13, so .* \(2 of 5 images of the batch\)$"
    with pytest.raises(ValueError, match=message):
        invert(dead(0.5), seeds, targets, ids=torch.arange(10, 15), **OPTIONS)


def test_target_features_of_length_zero_are_an_error():
    seeds, targets = images(5, 0, 0.8, 1.0), images(5, 1, 0.8, 1.0)
    targets[2] = 0.1
    message = r"^the model's features of target image 2 are all zero, .* \(1 of 5 images of the batch\)$"
    with pytest.raises(ValueError, match=message):
        invert(dead(0.5), seeds, targets, **OPTIONS)


class Broken(nn.Module):
    """Not a number where the mean pixel is above a half."""

    def forward(self, x):
        return torch.where(x.mean(1, keepdim=True) > 0, torch.nan, x)


def test_features_that_are_not_finite_are_an_error():
    model, bright, dark = pixels(Broken()), images(3, 0, 0.8, 1.0), images(3, 1, 0.0, 0.2)
    with pytest.raises(ValueError, match=r"features of target images 0, 1, 2 hold NaN or infinite values \(3 of 3 "):
        invert(model, dark, bright, **OPTIONS)
    with pytest.raises(ValueError, match=r"^loss or gradient at the seed of images 0, 1, 2 is NaN or infinite \(3 of"):
        invert(model, bright, dark, **OPTIONS)
    targets = dark.clone()
    targets[1] = images(1, 2, 0.0, 1.0)[0]  # its way leads through the broken half
    targets[1] += 0.499 - targets[1].mean()
    with pytest.raises(
        ValueError, match=r"^the loss of image 1 became NaN or infinite during the descent \(1 of 3 images"
    ):
        invert(model, dark, targets, **OPTIONS | {"steps": 400, "momentum": 0.0, "step_size": 1.0})
