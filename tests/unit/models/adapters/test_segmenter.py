"""UPerNet: as in mmsegmentation, differentiable to the image, and the same again from its file."""

import pytest
import torch
import torch.nn.functional as F
from dense_models import NORM, about, segmenting

from mettle import models
from mettle.models import adapters
from mettle.models.adapters import dense, operators, segmenter
from mettle.models.adapters.quiet import quiet
from mettle.tasks.segmentation import SEGMENTATION


def images(height=64, width=64, n=2, seed=0):
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(seed))


def labels(n=2, size=64, classes=5, seed=1):
    return torch.randint(0, classes, (n, size, size), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def model():
    return segmenting().eval()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 96), (50, 70)])
@torch.no_grad()
def test_logits_are_of_the_size_of_the_image(model, height, width):
    assert model(images(height, width)).shape == (2, 5, height, width)


@torch.no_grad()
def test_an_image_has_the_same_logits_in_any_batch(model):
    torch.testing.assert_close(model(images(n=3))[1:2], model(images(n=3)[1:2]), atol=1e-6, rtol=1e-4)


def test_the_same_seed_gives_the_same_weights_and_others_others():
    first, again = segmenting().state_dict(), segmenting().state_dict()
    other = segmenter.create(about(), seed=1).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    assert not torch.equal(first["decode_head.conv_seg.weight"], other["decode_head.conv_seg.weight"])


def peer(ours):
    """The same model by mmsegmentation's configuration."""
    operators.register()
    from mmengine.config import ConfigDict
    from mmengine.registry import DefaultScope
    from mmseg.models import build_segmentor

    norm = {"type": "BN"}
    head = {"num_classes": 5, "norm_cfg": norm, "dropout_ratio": 0.1, "channels": 8}
    loss = {"type": "CrossEntropyLoss", "use_sigmoid": False}
    widths, places = [256, 512, 1024, 2048], [0, 1, 2, 3]
    third = {"in_channels": 1024, "in_index": 2, "num_convs": 1, "concat_input": False}
    config = ConfigDict(
        type="EncoderDecoder",
        data_preprocessor={
            "type": "SegDataPreProcessor",
            "mean": [255 * value for value in NORM["mean"]],
            "std": [255 * value for value in NORM["std"]],
            "size": (64, 96),
            "seg_pad_val": 255,
        },
        backbone={"type": "ResNet", "depth": 50, "norm_cfg": norm},
        decode_head={"type": "UPerHead", "in_channels": widths, "in_index": places, "pool_scales": (1, 2)}
        | {"loss_decode": loss | {"loss_weight": 1.0}, **head},
        auxiliary_head={"type": "FCNHead", "loss_decode": loss | {"loss_weight": 0.4}, **third, **head},
        train_cfg={},
        test_cfg={"mode": "whole"},
    )
    with DefaultScope.overwrite_default_scope("mmseg"), quiet():
        found = build_segmentor(config)
    state = {key.replace("backbone.network.", "backbone."): value for key, value in ours.state_dict().items()}
    found.load_state_dict({key: value for key, value in state.items() if key not in ("mean", "std")})
    return found


@pytest.fixture(scope="module")
def pair():
    ours = segmenting(arch="resnet50", names="native")
    return ours, peer(ours)


@torch.no_grad()
def test_logits_are_those_of_mmsegmentation(pair):
    ours, theirs = (model.eval() for model in pair)
    given = images(64, 96)
    inputs = theirs.data_preprocessor({"inputs": list(given * 255)}, False)["inputs"]
    metas = [{"ori_shape": (64, 96), "img_shape": (64, 96), "pad_shape": (64, 96), "padding_size": [0] * 4}] * 2
    torch.testing.assert_close(ours(given), theirs.inference(inputs, metas), atol=5e-5, rtol=1e-4)


def test_losses_are_those_of_mmsegmentation(pair):
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    ours, theirs = (model.train() for model in pair)
    given, wanted = images(64, 96), F.pad(labels(), (0, 32), value=255)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=one[None])) for one in wanted]
    inputs = (given - ours.mean) / ours.std
    torch.manual_seed(0)
    expected = theirs.loss(inputs, samples)
    torch.manual_seed(0)
    found = ours.losses(given, wanted)
    assert found["decode"].item() == pytest.approx(expected["decode.loss_ce"].item(), rel=1e-5)
    assert found["auxiliary"].item() == pytest.approx(expected["aux.loss_ce"].item(), rel=1e-5)


def test_the_loss_is_the_mean_cross_entropy_and_ignored_pixels_count_in_the_mean():
    model = segmenting(head={"dropout": 0, "auxiliary_weight": 0}, ignore=9).eval()
    given, wanted = images(), labels()
    wanted[:, :10] = 9
    expected = F.cross_entropy(model(given), wanted, ignore_index=9, reduction="sum") / wanted.numel()
    found = model.losses(given, wanted)
    assert list(found) == ["decode"]
    assert found["decode"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_targets_are_padded_like_images():
    model = segmenting(head={"dropout": 0, "auxiliary_weight": 0}).eval()
    given, wanted = images(50, 64), labels()[:, :50]
    expected = F.cross_entropy(model(given), wanted, reduction="sum") / (2 * 64 * 64)
    assert model.losses(given, wanted)["decode"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_gradient_to_the_image_is_that_of_finite_differences():
    model = segmenting(scale=[80, 70]).double().eval()
    image, aim = images(40, 48, 1).double().requires_grad_(), torch.randn(1, 5, 40, 48).double()
    value = lambda x: (model(x) * aim).sum()  # noqa: E731
    (gradient,) = torch.autograd.grad(value(image), image)
    step = torch.randn(image.shape, generator=torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        difference = (value(image + 1e-6 * step) - value(image - 1e-6 * step)) / 2e-6
    assert (gradient * step).sum().item() == pytest.approx(difference.item(), rel=1e-4)


@pytest.mark.parametrize("scale", [None, [80, 70], [44, 36]])
def test_the_gradient_of_an_attack_is_that_of_finite_differences_in_every_corner(scale):
    """Images of 40 x 48 pixels are enlarged, reduced or left, then padded to 64 or 96; some pixels are ignored."""
    model, image, wanted = segmenting(scale=scale).double().eval(), images(40, 48, 1).double(), labels(1)[:, :40, :48]
    wanted[:, 5:9, 30:] = 255
    goal = SEGMENTATION.goal(wanted)
    value = lambda x: goal.objective(model(x), torch.tensor([0])).sum()  # noqa: E731
    given = image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(given), given)
    for place in ((0, 0, 0, 0), (0, 1, 39, 47), (0, 2, 0, 47), (0, 0, 39, 0), (0, 1, 20, 24)):
        step = torch.zeros_like(image)
        step[place] = 1e-5
        with torch.no_grad():
            difference = (value(image + step) - value(image - step)) / 2e-5
        assert gradient[place].item() == pytest.approx(difference.item(), rel=1e-4, abs=1e-9)
        assert gradient[place] != 0


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (300, 2000), (512, 2048), (37, 41)])
def test_images_are_resized_as_in_mmcv(size):
    from mmcv.image import rescale_size

    width, height = rescale_size(size[::-1], (2048, 512))
    assert dense.scaled(size, [2048, 512]) == (height, width)


@torch.no_grad()
def test_resizing_is_inside_the_model():
    model, plain = segmenting(scale=[128, 64]).eval(), segmenting().eval()
    given = images(32, 48)
    larger = F.interpolate(given, (64, 96), mode="bilinear")
    expected = F.interpolate(plain(larger), (32, 48), mode="bilinear")
    torch.testing.assert_close(model(given), expected)


# Windows

SLIDE = {"inference": "slide", "crop": [40, 32], "stride": 24}


@pytest.mark.parametrize("size", [(64, 96), (40, 32), (41, 33), (100, 71), (20, 200), (64, 56)])
def test_windows_cover_an_image_and_end_flush_with_it(size):
    found, seen = segmenter.windows(size, (40, 32), (24, 24)), torch.zeros(size)
    for rows, columns in found:
        assert rows.stop - rows.start == 40 and columns.stop - columns.start == 32
        assert min(rows.start, columns.start) >= 0
        assert all(of.stop <= side for of, side in zip((rows, columns), size, strict=True) if of.start)
        seen[rows, columns] += 1
    assert seen.min() == 1 and len(set(map(str, found))) == len(found)


@pytest.mark.parametrize("scale", [None, [96, 80]])
@torch.no_grad()
def test_logits_of_a_pixel_are_the_mean_of_those_of_all_windows_with_it(model, scale):
    slow, given = segmenting(scale=None).eval(), images(70, 60, 1)
    resized = given if scale is None else dense.resize(given, dense.scaled((70, 60), scale))
    height, width = resized.shape[-2:]
    starts = [
        sorted({min(step, side - crop) for step in range(0, side, 24)}) for side, crop in ((height, 40), (width, 32))
    ]
    logits = {(y, x): slow(resized[..., y : y + 40, x : x + 32]) for y in starts[0] for x in starts[1]}
    expected = torch.empty(1, 5, height, width)
    for row in range(height):
        for column in range(width):
            over = [(y, x) for y, x in logits if y <= row < y + 40 and x <= column < x + 32]
            pixel = [logits[y, x][0, :, row - y, column - x] for y, x in over]
            expected[0, :, row, column] = torch.stack(pixel).mean(0)
    found = segmenting(head=SLIDE, scale=scale).eval()(given)
    torch.testing.assert_close(found, dense.resize(expected, (70, 60)), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_an_image_that_is_smaller_than_a_window_is_taken_whole(model):
    slides = segmenting(head=SLIDE | {"crop": 80}).eval()
    torch.testing.assert_close(slides(images(50, 70)), model(images(50, 70)))
    torch.testing.assert_close(segmenting(head=SLIDE | {"crop": 64}).eval()(images(64, 64)), model(images(64, 64)))


@torch.no_grad()
def test_windows_are_those_of_mmsegmentation(pair, monkeypatch):
    from mmengine.config import ConfigDict

    ours, theirs = (model.eval() for model in pair)
    monkeypatch.setattr(ours, "windows", ((64, 32), (40, 24)))
    monkeypatch.setattr(theirs, "test_cfg", ConfigDict(mode="slide", crop_size=(64, 32), stride=(40, 24)))
    given = images(150, 100)
    metas = [{"ori_shape": (150, 100), "img_shape": (150, 100), "pad_shape": (150, 100), "padding_size": [0] * 4}] * 2
    expected = theirs.inference((given - ours.mean) / ours.std, metas)
    torch.testing.assert_close(ours(given), expected, atol=5e-5, rtol=1e-4)


def test_the_gradient_flows_through_all_windows():
    model = segmenting(head=SLIDE, scale=[80, 70]).double().eval()
    image, aim = images(40, 48, 1).double().requires_grad_(), torch.randn(1, 5, 40, 48).double()
    value = lambda x: (model(x) * aim).sum()  # noqa: E731
    (gradient,) = torch.autograd.grad(value(image), image)
    step = torch.randn(image.shape, generator=torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        difference = (value(image + 1e-6 * step) - value(image - 1e-6 * step)) / 2e-6
    assert (gradient * step).sum().item() == pytest.approx(difference.item(), rel=1e-4)


def test_training_takes_images_whole():
    whole, slides = segmenting(head={"dropout": 0}), segmenting(head=SLIDE | {"dropout": 0})
    first, second = (model.eval().losses(images(), labels()) for model in (whole, slides))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


# On disk


@pytest.mark.parametrize("head", [SLIDE, {}])
def test_a_file_says_whether_images_are_taken_in_windows(tmp_path, model, head):
    said = about(head=head)
    if not head:  # as files that were written before there were windows
        said["upernet"] = {key: value for key, value in said["upernet"].items() if key not in SLIDE}
    models.save(tmp_path / "a.safetensors", model.state_dict(), said)
    found, _ = models.load(tmp_path / "a.safetensors")
    assert found.windows == (((40, 32), (24, 24)) if head else None)


def test_it_is_the_same_again_from_its_file(tmp_path, model):
    models.save(tmp_path / "a.safetensors", model.state_dict(), about())
    found, described = models.load(tmp_path / "a.safetensors", task="segmentation")
    assert isinstance(found, segmenter.Segmenter) and not found.training and described["map_classes"] == 5
    with torch.no_grad():
        assert torch.equal(found(images(50, 70)), model(images(50, 70)))


def test_a_file_that_lacks_an_entry_is_refused(tmp_path, model):
    state = {key: value for key, value in model.state_dict().items() if key != "decode_head.conv_seg.bias"}
    models.save(tmp_path / "a.safetensors", state, about())
    with pytest.raises(ValueError, match=r"a.safetensors does not fit Segmenter: missing decode_head.conv_seg.bias$"):
        models.load(tmp_path / "a.safetensors")


def test_a_task_that_nobody_knows_and_packages_that_are_missing_are_named(tmp_path, model, monkeypatch):
    models.save(tmp_path / "a.safetensors", model.state_dict(), about() | {"task": "poetry"})
    with pytest.raises(ValueError, match=r"a.safetensors: made for the task 'poetry', but models here are made for: "):
        models.load(tmp_path / "a.safetensors")

    def missing(name):
        raise ModuleNotFoundError("No module named 'mmcv'", name="mmcv")

    models.save(tmp_path / "b.safetensors", model.state_dict(), about())
    monkeypatch.setattr(adapters, "import_module", missing)
    with pytest.raises(ValueError, match=r"models of segmentation need the package mmcv, which is not installed here"):
        models.load(tmp_path / "b.safetensors")
