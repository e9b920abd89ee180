"""Checkpoints in MadryLab's format: the weights come out, nothing in the file runs, and what is wrong is said."""

import hashlib
import os
import types

import pytest
import torch

from mettle import digests, models
from mettle.models import published
from mettle.stages import train

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
ZIP = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


class Schedule:
    """Some object of the library that wrote the file."""

    def __init__(self):
        self.base, self.history = 0.1, {"nested": [Schedule]}


class Call:
    """A pickle of this makes a folder when it is loaded the usual way."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.makedirs, (str(self.path), 0o777, True)


class Evaluate(Call):
    """The same, by way of a builtin."""

    def __reduce__(self):
        return eval, (f"__import__('os').makedirs({str(self.path)!r}, exist_ok=True)",)


class Full(Call):
    """Has arguments, a state, list items and dictionary items."""

    def __reduce__(self):
        return Full, (str(self.path),), {"state": 1}, iter([1, 2]), iter([(3, Call(self.path))])


def source(arch="resnet8", seed=1):
    made = models.create(arch, 10, 32, MEAN, STD, seed)
    with torch.no_grad():  # BatchNorm statistics that are not those of a new network
        made(torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    return made.eval()


def wrapped(model, inner="module.model."):
    """State of DataParallel(AttackerModel)."""
    network = model.network.state_dict()
    mean, std = (getattr(model, key).view(3, 1, 1) for key in ("mean", "std"))
    state = {"module.normalizer.new_mean": mean, "module.normalizer.new_std": std}
    state |= {f"{inner}{key}": value for key, value in network.items()}
    state |= {"module.attacker.normalize.new_mean": mean, "module.attacker.normalize.new_std": std}
    # The second copy is told apart from the first so that the tests see which was read.
    return state | {inner.replace("module.", "module.attacker.", 1) + key: 2 * value for key, value in network.items()}


def checkpoint(path, state, zipped=True, key="model", **extra):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], 0.1, 0.9).state_dict()
    whole = {key: state, "optimizer": optimizer, "schedule": Schedule(), "epoch": 89, "amp": None, "nat_prec1": 91.5}
    torch.save(whole | extra, path, _use_new_zipfile_serialization=zipped)
    return path


def read(path, form="madry"):
    return published.read(path, source().network, form)


def same(found, model):
    network = model.network.state_dict()
    assert set(found.state) == set(network)
    assert all(torch.equal(found.state[key], value) for key, value in network.items())
    assert found.normaliser.mean == model.mean.flatten().tolist()
    assert found.normaliser.std == model.std.flatten().tolist()


@ZIP
@pytest.mark.parametrize("key", ["model", "state_dict"])
@pytest.mark.parametrize("inner", ["module.model.", "module.model.model."])
@pytest.mark.parametrize("form", ["madry", ""])
def test_reads_the_network_under_its_own_names(tmp_path, zipped, key, inner, form):
    made = source()
    found = read(checkpoint(tmp_path / "c.pt", wrapped(made, inner), zipped, key), form)
    same(found, made)
    assert found.taken.startswith(f"takes `{key}`; names behind `{inner}`; ")


@ZIP
@pytest.mark.parametrize("kind", [Call, Evaluate])
def test_a_malicious_pickle_runs_nothing_and_its_weights_load(tmp_path, zipped, kind):
    made, evil = source(), tmp_path / "evil"
    path = checkpoint(tmp_path / "c.pt", wrapped(made), zipped, schedule=kind(evil), more=[kind(evil)])
    same(read(path), made)
    assert not evil.exists()
    torch.load(path, weights_only=False)
    assert evil.exists(), "the pickle of this test is harmless, so it tests nothing"


@ZIP
def test_objects_with_state_and_items_are_inert(tmp_path, zipped):
    made, evil = source(), tmp_path / "evil"
    path = checkpoint(tmp_path / "c.pt", wrapped(made), zipped, odd=Full(evil), args=types.SimpleNamespace(a={1, 2}))
    same(read(path), made)
    assert not evil.exists()


@ZIP
def test_a_malicious_object_among_the_weights_is_left_out_unrun(tmp_path, zipped):
    state = wrapped(source()) | {"module.model.evil": Call(tmp_path / "evil")}
    found = read(checkpoint(tmp_path / "c.pt", state, zipped))
    assert all(isinstance(value, torch.Tensor) for value in found.state.values())
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(200), bytes(1000), b"PK\x03\x04" * 9])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "c.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"c\.pt is not a complete checkpoint: "):
        read(path)


@ZIP
def test_a_truncated_checkpoint_is_refused_wherever_it_ends(tmp_path, zipped):
    whole = checkpoint(tmp_path / "c.pt", wrapped(source()), zipped).read_bytes()
    path = tmp_path / "cut.pt"
    for share in (0.0001, 0.01, 0.1, 0.3, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=r"cut\.pt is not a complete checkpoint: "):
            read(path)


@pytest.mark.parametrize("whole", [torch.ones(3), {"weights": {}}, {"model": 3}, {"model": {"a": 1}}, [1, 2]])
def test_another_object_than_a_checkpoint_is_refused(tmp_path, whole):
    torch.save(whole, tmp_path / "c.pt")
    with pytest.raises(
        ValueError, match=r"c\.pt: it holds no weights by name, but .*: save its weights alone, by torch"
    ):
        read(tmp_path / "c.pt")


@pytest.mark.parametrize(
    ("key", "kept", "words"),
    [("mean", "std", ("standard deviation", "mean")), ("std", "mean", ("mean", "standard dev"))],
)
def test_half_a_normaliser_is_named(tmp_path, key, kept, words):
    state = wrapped(source())
    del state[f"module.normalizer.new_{key}"]
    has, lacks = words
    told = rf"c\.pt: it has the {has} of a normaliser, `module\.normalizer\.new_{kept}`, but not its {lacks}"
    with pytest.raises(ValueError, match=told):
        read(checkpoint(tmp_path / "c.pt", state))


def test_a_checkpoint_without_normaliser_is_not_of_this_format(tmp_path):
    state = {key: value for key, value in wrapped(source()).items() if "normalize" not in key}
    path = checkpoint(tmp_path / "c.pt", state)
    with pytest.raises(
        ValueError,
        match=r"c\.pt: it is not in MadryLab format, because it has no normaliser: leave column `format` empty$",
    ):
        read(path)
    assert read(path, "").normaliser is None


def test_sha256_is_compared_when_the_row_has_one(tmp_path):
    (tmp_path / "c.pt").write_bytes(b"weights")
    right = hashlib.sha256(b"weights").hexdigest()
    digests.verify(tmp_path / "c.pt", right)
    digests.verify(tmp_path / "c.pt", "")
    digests.verify(tmp_path / "c.pt", None)
    with pytest.raises(ValueError, match=rf"c\.pt has SHA-256 {right}, the row says {'0' * 64}: download it again"):
        digests.verify(tmp_path / "c.pt", "0" * 64)


# The rule convert, from checkpoint to weights

INPUT = {"size": 32, "resize": 36, "interpolation": "bilinear", "mean": [0.5, 0.5, 0.5], "std": [1.0, 1.0, 1.0]}
RECIPE = {"epochs": 90, "input": INPUT}
PROVENANCE = {"rule": "convert", "revision": 1}


def row(path, **other):
    found = {"model": "resnet8-r-s0", "dataset": "digits", "arch": "resnet8", "recipe": "r", "classes": 10}
    found |= {"threat": "l2", "eps": 0.5, "seed": 0, "source": str(path), "sha256": "", "format": "madry"}
    return found | other


@pytest.fixture
def job():
    return types.SimpleNamespace(
        seed=0, threads=1, provenance=PROVENANCE, say=lambda text: None, progress=lambda items, *rest: items
    )


@ZIP
@pytest.mark.parametrize("inner", ["module.model.", "module.model.model."])
def test_a_converted_model_answers_as_its_source(tmp_path, job, zipped, inner):
    made, target = source(seed=4), tmp_path / "out" / "weights.safetensors"
    path = checkpoint(tmp_path / "c.pt", wrapped(made, inner), zipped)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    train.convert(row(path, sha256=digest), RECIPE, target, job)
    model, about = models.load(target, arch="resnet8", classes=10)
    x = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (MEAN, STD))
    with torch.inference_mode():
        assert torch.equal(model(x), made.network((x - mean) / std))
    assert torch.allclose(torch.tensor(about["mean"]), torch.tensor(MEAN)), "the checkpoint's, not the recipe's"
    assert torch.allclose(torch.tensor(about["std"]), torch.tensor(STD))
    assert (about["size"], about["resize"], about["threat"], about["eps"]) == (32, 36, "l2", 0.5)
    assert about["provenance"] == PROVENANCE
    assert about["source"] == str(path)


def test_another_architecture_is_refused_with_the_list(tmp_path, job):
    path, target = checkpoint(tmp_path / "c.pt", wrapped(source())), tmp_path / "weights.safetensors"
    with pytest.raises(
        ValueError,
        match=r"c\.pt \(`model`\) does not fit Vgg: missing features\.0\.weight; .* more; extra .* more; "
        r"fc\.weight has shape",
    ):
        train.convert(row(path, arch="vgg5"), RECIPE, target, job)
    with pytest.raises(
        ValueError,
        match=r"does not fit CifarResNet: fc\.weight has shape \(10, 64\), expected \(7, 64\); "
        r"fc\.bias has shape \(10,\), expected \(7,\)$",
    ):
        train.convert(row(path, classes=7), RECIPE, target, job)
    assert not target.exists()


def test_another_file_than_the_rows_is_refused(tmp_path, job):
    path = checkpoint(tmp_path / "c.pt", wrapped(source()))
    with pytest.raises(ValueError, match=r"c\.pt has SHA-256 [0-9a-f]{64}, the row says ab{63}: download it again"):
        train.convert(row(path, sha256="a" + 63 * "b"), RECIPE, tmp_path / "w.safetensors", job)
    assert not (tmp_path / "w.safetensors").exists()


def test_a_missing_source_names_the_row(tmp_path, job):
    with pytest.raises(
        FileNotFoundError,
        match=r"nowhere\.pt does not exist: fill column `source` of row 'resnet8-r-s0' of the models$",
    ):
        train.convert(row(tmp_path / "nowhere.pt"), RECIPE, tmp_path / "w.safetensors", job)


def test_a_source_on_the_hub_is_fetched_from_its_repository(tmp_path, job, monkeypatch):
    import huggingface_hub

    path, asked = checkpoint(tmp_path / "c.pt", wrapped(source())), []
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *args, revision: asked.append(args) or str(path))
    train.convert(row("hf://owner/repository/folder/c.pt"), RECIPE, tmp_path / "w.safetensors", job)
    assert asked == [("owner/repository", "folder/c.pt")]
    assert models.load(tmp_path / "w.safetensors")[1]["source"] == "hf://owner/repository/folder/c.pt"
