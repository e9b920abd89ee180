"""Linear heads of dense tasks: trained on maps that are extracted once, and saved without their network."""

import pytest
import torch
from dense_trainings import NORM, SMALL, Job, equal, result

from jobs import training_files
from mettle import models, schema, tables
from mettle.data import streets, write
from mettle.data.store import Store
from mettle.data.targets import Expected
from mettle.stages.transfer import convert, transfer
from mettle.stages.transfer.frozen import MapSet
from mettle.stages.transfer.training import Training

RECIPE = {
    "kind": "head",
    "epochs": 2,
    "batch_size": 4,
    "optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.0001},
    "schedule": {"name": "one_cycle"},
    "input": {"size": 32, **NORM},
    "linear": {},
}
DEPTH = {"task": "depth", "linear": {"bins": 16, "range": [1, 10], "class_token": True}}
TASKS = {"segmentation": {"task": "segmentation"}, "depth": DEPTH}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Few streets with label maps and distances."""
    folder, found = tmp_path_factory.mktemp("maps"), []
    for split, n in (("train", 12), ("test", 5)):
        items = [streets.street(0, split, index, SMALL) for index in range(n)]
        expected = Expected(("label_map", "depth"), classes=10, map_classes=11, depth_range=(1, 10))
        found.append(folder / f"{split}.lmdb")
        paths = found[-1], folder / f"{split}.parquet"
        write(*paths, items, table=tables.DENSE_MANIFEST, expected=expected)
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    about = {"size": 32, "resize": None, "interpolation": "bilinear", "threat": "none", "eps": 0.0, "dataset": "other"}
    path = tmp_path_factory.mktemp("train") / "plain" / "weights.safetensors"
    path.parent.mkdir()
    models.save(
        path, models.create("vit_mini", 7, 32, **NORM, seed=5), about | NORM | {"arch": "vit_mini", "classes": 7}
    )
    return path


def recipe(task, **other):
    return schema.check(RECIPE | TASKS[task] | other, "recipe", "here")


def row(model="mine", **other):
    found = {"model": model, "dataset": "streets", "arch": "vit_mini", "recipe": "few", "seed": 0, "base": "plain"}
    found |= {"threat": "none", "eps": 0.0, "classes": 10, "map_classes": 11, "ignore": None, "transfer": "fixed"}
    return found | other


def run(start, stores, options, name, job=None, **cells):
    folder = start.parents[1] / name
    folder.mkdir(exist_ok=True)
    files = training_files(folder, *stores, base=start)
    transfer(row(name, **cells), options, files, job or Job(), {"checkpoint_seconds": 0})
    return result(folder)


@pytest.mark.parametrize("task", TASKS)
def test_a_head_learns_and_its_file_has_no_network(base, stores, task):
    before = base.read_bytes()
    state, table = run(base, stores, recipe(task, epochs=8), f"{task}-learned")
    assert base.read_bytes() == before
    path = base.parents[1] / f"{task}-learned" / "weights.safetensors"
    held, about = models.weights.read(path)
    assert not any(key.startswith("backbone.") for key in held) and path.stat().st_size < 100_000
    assert (about["kind"], about["base"], about["task"], about["transfer"]) == ("head", "plain", task, "fixed")
    network = models.load(base)[0].network.state_dict()
    assert all(torch.equal(state[f"backbone.network.{key}"], value) for key, value in network.items())
    assert table["train_loss"].iloc[-1] < table["train_loss"].iloc[0]
    assert table["measure"].unique().tolist() == [{"segmentation": "miou", "depth": "abs_rel"}[task]]
    assert table["score"].notna().tolist() == [False] * 7 + [True]


@pytest.mark.parametrize("task", TASKS)
def test_maps_are_extracted_once_unless_images_change_at_random(base, stores, task):
    fixed, changing = (
        Training(row(), recipe(task, augment={"horizontal_flip": flip}), *map(Store, stores), Job(), [base])
        for flip in (False, True)
    )
    assert isinstance(fixed.inputs, MapSet) and changing.inputs is changing.train
    maps, targets, ids = fixed.inputs.__getitems__([3, 0])
    images, same, again = fixed.train.__getitems__([3, 0])
    with torch.no_grad():
        torch.testing.assert_close(tuple(maps), fixed.model.eval().maps(images))
    assert torch.equal(targets, same) and torch.equal(ids, again)


@pytest.mark.parametrize("task", TASKS)
def test_a_training_that_is_stopped_resumes_to_the_same_head(base, stores, task):
    expected = run(base, stores, recipe(task), f"{task}-whole")

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(base, stores, recipe(task), f"{task}-parts", Job(at=4, what=stop))
    job = Job()
    found = run(base, stores, recipe(task), f"{task}-parts", job)
    assert equal((expected[0], expected[1].assign(model="")), (found[0], found[1].assign(model="")))
    assert "resuming from epoch 1, step 1" in job.said and job.steps == 2


@pytest.mark.parametrize("task", TASKS)
def test_the_network_may_train_too_and_is_then_in_the_file_and_a_base_of_heads(base, stores, task):
    whole = {key: value for key, value in recipe(task).items() if key != "kind"}
    state, _ = run(base, stores, whole, f"{task}-full", transfer="full")
    network = models.load(base)[0].network.state_dict()
    assert not torch.equal(state["backbone.network.blocks.0.mlp.fc1.weight"], network["blocks.0.mlp.fc1.weight"])
    path = base.parents[1] / f"{task}-full" / "weights.safetensors"
    assert "backbone.network.cls_token" in models.weights.read(path)[0] and "kind" not in models.load(path)[1]
    above, _ = run(path, stores, recipe(task), f"{task}-above", base=f"{task}-full")
    assert torch.equal(above["backbone.network.cls_token"], state["backbone.network.cls_token"])


def test_the_first_updates_of_depth_minimise_the_mean_alone(base, stores):
    trained = Training(row(), recipe("depth"), *map(Store, stores), Job(), [base])
    warm = [trained.kind.options(trained.recipe, updates)["warm"] for updates in (0, 99, 100)]
    assert warm == [True, True, False]
    maps, targets, ids = trained.inputs.__getitems__([0, 1])
    expected = trained.model.head_losses(tuple(maps), targets, warm=True)
    assert trained._losses(maps, targets, ids) == expected


def test_crops_rotation_and_jitter_of_depth_move_both_and_keep_distances(base, stores):
    augment = {"random_crop": True, "rotation": 5, "horizontal_flip": True, "color_jitter": 0.25}
    options = recipe("depth", augment=augment, input={"size": 24, **NORM})
    train = Training(row(), options, *map(Store, stores), Job(), [base]).train
    images, targets, _ = train.__getitems__(range(12))
    assert images.shape == (12, 3, 24, 24) and targets.shape == (12, 24, 24)
    assert images.min() >= 0 and images.max() <= 1
    whole = torch.from_numpy(train.kept[0]) if train.kept else torch.from_numpy(train.targets.depth(0).copy())
    known = targets[0][targets[0] > 0]
    assert len(known) and torch.isin(known, whole.float().unique()).all()
    again, same, _ = train.__getitems__(range(12))
    assert torch.equal(again, images) and torch.equal(same, targets)
    train.epoch = 1
    assert not torch.equal(train.__getitems__(range(12))[0], images)


# Published heads


def given(base, source, task, name="given", **options):
    path = base.parents[1] / name / "weights.safetensors"
    path.parent.mkdir(exist_ok=True)
    told = row(name, source=str(source), format="")
    convert(told, recipe(task, **options), path, Job(), base=[base])
    return models.load(path)


def test_official_heads_arrive_under_our_names(base, tmp_path):
    drawn = torch.Generator().manual_seed(0)
    norm = {key: torch.rand(128, generator=drawn) for key in ("weight", "bias", "running_mean", "running_var")}
    last = {"weight": torch.randn(11, 128, 1, 1, generator=drawn), "bias": torch.randn(11, generator=drawn)}
    state = {f"decode_head.bn.{key}": value for key, value in norm.items()}
    state |= {f"decode_head.conv_seg.{key}": value for key, value in last.items()}
    torch.save({"state_dict": state, "meta": {}}, source := tmp_path / "maps.pth")
    model, about = given(base, source, "segmentation")
    assert torch.equal(model.decode_head.conv_seg.weight, last["weight"])
    assert torch.equal(model.decode_head.convs.running_var, norm["running_var"])
    assert about["source"] == str(source) and about["kind"] == "head"
    state = {"decode_head.conv_depth.weight": torch.randn(16, 256, 1, 1), "decode_head.conv_depth.bias": torch.ones(16)}
    torch.save({"state_dict": state}, source := tmp_path / "depth.pth")
    model, _ = given(base, source, "depth", "given-depth")
    assert torch.equal(model.head.weight, state["decode_head.conv_depth.weight"])
    torch.save({"state_dict": {"head.weight": torch.ones(1)}}, source := tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth: holds no head, which are entries that begin with decode_head$"):
        given(base, source, "depth")
    torch.save({"state_dict": {"decode_head.conv_depth.weight": torch.ones(8, 256, 1, 1)}}, source)
    with pytest.raises(ValueError, match=r"other\.pth does not fit .*missing head\.bias.* has shape \(8, 256, 1, 1\)"):
        given(base, source, "depth")


def test_a_head_of_another_row_is_used_on_another_network(base, stores):
    state, _ = run(base, stores, recipe("depth"), "stock")
    model, _ = given(base, base.parents[1] / "stock/weights.safetensors", "depth", "reused")
    assert torch.equal(model.head.weight, state["head.weight"])
    with pytest.raises(ValueError, match=r"plain/weights\.safetensors: holds no head, but a whole model$"):
        given(base, base, "depth")
