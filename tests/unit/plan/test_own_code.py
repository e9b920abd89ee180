"""Own networks, plugins and preprocessing of rows in a plan: what is taken, and one sentence for what is wrong."""

import pytest
import yaml

from mettle.plan import Plan

NET = (
    "from torch import nn\nfrom elsewhere import Other\n\nclass MyNet(nn.Module):\n    pass\n\ndef small():\n    pass\n"
)
PLUGIN = """
from mettle.stages.train import LOSSES
@register_model
def net_of_plugin(**options): pass
LOSSES["loss_of_plugin"] = 1
"""
HEAD = ["model", "dataset", "arch", "source", "recipe", "seed", "size", "resize", "mean", "std", "threat", "eps"]
ROW = {"model": "mine", "dataset": "digits", "arch": "net.py:MyNet", "source": "my.pth", "size": "32"}
ROW |= {"mean": "0.5,0.5,0.5", "std": "64/255,0.2,0.2"}
TRAINED = {"model": "mine", "dataset": "digits", "arch": "net_of_plugin", "source": "train", "recipe": "r", "seed": "1"}
RECIPE = {
    "epochs": 2,
    "batch_size": 8,
    "loss": "loss_of_plugin",
    "optimizer": {"name": "sgd", "lr": 0.1, "weight_decay": 0},
    "schedule": {"name": "cosine"},
    "input": {"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3},
}
CELL = {"model": "mine"}


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "r.yaml").write_text(yaml.safe_dump(RECIPE))
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "plugin.py").write_text(PLUGIN)

    def make(plugins=("plugin.py",), row=ROW, **cells):
        cells = row | cells
        lines = ["\t".join(HEAD), "\t".join(cells.get(key, "") for key in HEAD)]
        (tmp_path / "models.tsv").write_text("\n".join(lines))
        return Plan({"models": "models.tsv", "recipes": "recipes", "plugins": [*plugins], "figures": {}})

    return make


def test_a_row_says_how_images_reach_the_network(plan):
    found = plan(threat="linf", eps="8/255")
    shape = {"size": 32, "resize": None, "interpolation": "bilinear", "scale": None}
    shape |= {"mean": [0.5] * 3, "std": [64 / 255, 0.2, 0.2]}
    assert found.preprocessing(CELL) == {"input": shape}
    told = found.converted_row(CELL)
    assert (told["threat"], told["eps"], told["seed"], told["recipe"]) == ("linf", 8 / 255, 0, "")
    assert told["code"] == ["net.py"] == found.code(CELL)
    assert plan().models["mine"]["threat"] == "none"


def test_a_row_may_state_height_and_width(plan):
    found = plan(size="24,40", resize="24, 40").preprocessing(CELL)["input"]
    assert (found["size"], found["resize"]) == ([24, 40], [24, 40])


def test_code_is_that_of_plugins_that_name_architecture_and_loss(plan):
    found = plan(row=TRAINED)
    told = found.trained_row(CELL)
    assert told["code"] == told["loss_code"] == ["plugin.py"] == found.code(CELL)
    told = plan(row=TRAINED, arch="resnet8").trained_row(CELL)
    assert "code" not in told and told["loss_code"] == ["plugin.py"]


def test_no_other_model_is_told_of_plugins(plan):
    assert "code" not in plan(arch="resnet8").converted_row(CELL) and plan(arch="resnet8").code(CELL) == []


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"arch": "nets.py:MyNet"}, r"^models\.tsv, row 'mine', column arch: nets\.py does not exist: put the file "),
        ({"arch": "net.py:YourNet"}, r"^models\.tsv, row 'mine': net\.py has no 'YourNet'; it has MyNet, small$"),
        (
            {"arch": "net.py"},
            r"^models\.tsv, line 2, row 'mine': 'arch' must be a name of .*, as path/to/net\.py:MyNet",
        ),
        ({"arch": "bad.py:Net"}, r"^models\.tsv, row 'mine', column arch: bad\.py, line 1: is not Python: "),
        ({"arch": "empty.py:Net"}, r"row 'mine': empty\.py has no 'Net'; it has neither class nor function$"),
        ({"arch": "net_of_nobody"}, r"unknown architecture 'net_of_nobody'(: did you mean|; one of your own is wri)"),
        ({"mean": "124,116,104"}, r"row 'mine': 'mean\.\d' must be at most 1, got .* divide .* by 255, that is "),
        ({"mean": "0.5"}, r"row 'mine': 'mean' needs at least 3 entries, got \[0\.5\]$"),
        ({"std": ""}, r"row 'mine': column std is empty: state size, mean and std \(pixels are in \[0, 1\]\) with whi"),
        ({"size": ""}, r"row 'mine': column size is empty: state size, mean and std"),
        (
            {"size": "24"},
            r"row 'mine': images of 'digits' have 32 pixels a side, but the network takes 24: set `resize`",
        ),
        (
            {"size": "24,40", "resize": "24"},
            r"row 'mine': images of 'digits' are square, and with `resize` 24 do not cover the input of 24x40: set it ",
        ),
        ({"size": "24,40,3"}, r"row 'mine': 'size' takes at most 2 entries, got \[24, 40, 3\]$"),
        ({"size": "32,x"}, r"row 'mine': 'size\.1' must be an integer, got 'x'$"),
        ({"resize": "24"}, r"row 'mine': resize is 24, less than size 32: images would get a black border"),
        ({"recipe": "r"}, r"row 'mine': column size is for checkpoints without recipe, but the row names recipe 'r': "),
        ({"eps": "0.5"}, r"row 'mine': threat and eps are none 0\.5: state norm and radius of the attack"),
        ({"threat": "l2"}, r"row 'mine': threat and eps are l2 0: state norm and radius of the attack"),
        ({"source": "train"}, r"row 'mine': column recipe is empty: a model is trained by a recipe, from a seed$"),
    ],
)
def test_a_wrong_row_is_one_sentence(plan, tmp_path, cells, message):
    (tmp_path / "bad.py").write_text("class Net\n")
    (tmp_path / "empty.py").touch()
    with pytest.raises(ValueError, match=message):
        plan(**cells)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"^configuration: plugins: other\.py does not exist: put the file there, or correct the path$"),
        ("def (", r"^configuration: plugins: other\.py, line 1: is not Python: "),
        ("@register_model\ndef resnet18(): pass", r"^other\.py: registers 'resnet18', which there is already: choose "),
        ("@timm.models.register_model\ndef vgg5(): pass", r"^other\.py: registers 'vgg5', which there is already"),
        ("ARCHITECTURES['vgg5'] = 1", r"^other\.py: registers 'vgg5', which there is already: choose another name$"),
        ("models.ARCHITECTURES['vgg5'] = 1", r"^other\.py: registers 'vgg5', which there is already: choose another "),
        ("LOSSES['trades'] = 1", r"^other\.py: registers 'trades', which there is already: choose another name$"),
    ],
)
def test_a_wrong_plugin_is_one_sentence(plan, tmp_path, text, message):
    if text is not None:
        (tmp_path / "other.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        plan(plugins=["plugin.py", "other.py"])


def test_a_loss_that_nobody_registers_is_refused(plan):
    with pytest.raises(ValueError, match=r"r\.yaml: unknown loss 'loss_of_plugin'"):
        plan(plugins=[], row=TRAINED, arch="resnet8")


def test_a_sweep_over_an_own_network_names_models_by_its_class(plan, tmp_path):
    sweep = {"base": "r", "dataset": "digits", "arch": "net.py:MyNet", "grid": {"optimizer.lr": [0.1, 0.2]}}
    (tmp_path / "recipes" / "sweeps").mkdir()
    (tmp_path / "recipes" / "sweeps" / "s.yaml").write_text(yaml.safe_dump(sweep))
    plan()
    found = Plan(
        {"models": "models.tsv", "recipes": "recipes", "plugins": ["plugin.py"], "figures": {}, "sweeps": ["s"]}
    )
    assert {"MyNet-s_lr0_1-s0", "MyNet-s_lr0_2-s0"} < found.models.keys()
