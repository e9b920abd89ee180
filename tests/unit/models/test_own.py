"""Networks and plugins of the user: what their files give, and one sentence for whatever is wrong with them."""

import sys

import pytest
import timm
import torch
from timm.models import _registry as registry

from mettle import models
from mettle.models import own

NET = """
from torch import nn

class MyNet(nn.Module):
    def __init__(self, num_classes=7, width=4):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, width, 3), nn.Linear(width, num_classes)

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))

def ten():
    return MyNet(10)

def any_keyword(**options):
    return MyNet(**options)

def sized(num_classes, img_size):
    assert img_size == 32
    return MyNet(num_classes)

def deep(num_classes, drop_path_rate=0.0):
    made = MyNet(num_classes)
    made.rate = drop_path_rate
    return made

def needs(depth):
    return MyNet()

def nothing():
    return "a network"

class Features(MyNet):
    def forward(self, x):
        return self.conv(x).relu().mean((2, 3))

class Maps(MyNet):
    def forward(self, x):
        return self.conv(x)

class Both(MyNet):
    def forward(self, x):
        return super().forward(x), x

class Fails(MyNet):
    def forward(self, x):
        raise KeyError("depth")
"""
MEAN, STD = [0.5] * 3, [0.25] * 3


@pytest.fixture
def net(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    return tmp_path / "net.py"


@pytest.mark.parametrize("name", ["MyNet", "ten", "any_keyword", "sized"])
def test_a_class_or_function_of_a_file_is_an_architecture(net, name):
    model = models.create(f"net.py:{name}", 10, 32, MEAN, STD, seed=0)
    model.check("here", 10)
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    assert not list(net.parent.glob("__pycache__"))


def test_drop_path_is_for_networks_that_know_it(net):
    assert models.build("net.py:deep", 10, 32, drop_path=0.1).rate == 0.1
    with pytest.raises(ValueError, match=r"^architecture 'net\.py:MyNet' has no drop path: drop_path must be 0"):
        models.build("net.py:MyNet", 10, 32, drop_path=0.1)


def test_a_file_is_run_once_per_content(net):
    kinds = [type(models.build("net.py:MyNet", 10, 32)) for _ in range(2)]
    assert kinds[0] is kinds[1]
    net.write_text(NET.replace("width=4", "width=5"))  # as long, and within the same second
    assert models.build("net.py:MyNet", 10, 32).fc.in_features == 5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Absent", r"^net\.py has no class or function 'Absent'$"),
        ("needs", r"^net\.py:needs fails when it is called as needs\(\): TypeError: needs\(\) missing 1 required pos"),
        ("nothing", r"^net\.py:nothing gives a str, not a torch\.nn\.Module$"),
    ],
)
def test_what_makes_no_network_is_refused(net, name, message):
    with pytest.raises(ValueError, match=message):
        models.build(f"net.py:{name}", 10, 32)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ten", r"ten: MyNet gives 10 values per image, not 6 logits: let its forward return one logit per class of"),
        ("Features", r"Features gives 4 values per image, not 6 logits"),
        ("Maps", r"Maps gives 4 x 30 x 30 values per image, not 6 logits"),
        ("Both", r"Both gives a tuple: let its forward return the logits, one tensor$"),
        ("Fails", r"Fails does not run on 3 x 32 x 32 images \(`size` of its recipe or row\): 'depth'$"),
    ],
)
def test_what_gives_no_logits_of_the_classes_is_refused(net, name, message):
    with pytest.raises(ValueError, match=rf"^{name}: .*{message}" if name != "ten" else f"^{message}"):
        models.create(f"net.py:{name}", 6, 32, MEAN, STD, seed=0).check(name, 6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import no_such_package",
            "ModuleNotFoundError: No module named 'no_such_package': install 'no_such_package' ",
        ),
        (
            "import layers_beside",
            "No module named 'layers_beside': 'layers_beside' lies beside it, but only the file that is named is read",
        ),
        ("1 / 0", "ZeroDivisionError: division by zero$"),
        ("raise SystemExit(3)", "SystemExit: 3$"),
    ],
)
def test_a_file_that_fails_on_import_says_its_last_line(net, text, message):
    (net.parent / "layers_beside.py").touch()
    before = set(sys.modules)
    net.write_text(text)
    with pytest.raises(ValueError, match=rf"^net\.py fails on import: .*{message}"):
        models.build("net.py:MyNet", 10, 32)
    assert not {name for name in set(sys.modules) - before if name.startswith("net_")}


# Weights


def saved(path, **more):
    about = {"arch": "net.py:MyNet", "classes": 10, "size": 32, "resize": None, "interpolation": "bilinear"}
    about |= {"mean": MEAN, "std": STD, "threat": "none", "eps": 0}
    models.save(path, models.create("net.py:MyNet", 10, 32, MEAN, STD, seed=3), about | more)
    return path


def test_weights_are_loaded_by_the_file_that_they_were_made_with(net, tmp_path):
    path = saved(tmp_path / "w.safetensors", code=own.digests(["net.py"]))
    model, about = models.load(path)
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(model(x), models.create("net.py:MyNet", 10, 32, MEAN, STD, seed=3).eval()(x))
    assert about["code"] == own.digests(["net.py"])
    net.write_text(NET + "# more\n")
    with pytest.raises(ValueError, match=r"w\.safetensors: net\.py has changed: its SHA-256 is \w{64}, the weights we"):
        models.load(path)
    net.unlink()
    with pytest.raises(
        ValueError, match=r"w\.safetensors: net\.py does not exist, but its code is needed: put the file back$"
    ):
        models.load(path)


def test_no_file_is_run_for_weights_that_state_no_digest(net, tmp_path):
    path = saved(tmp_path / "w.safetensors")
    net.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(
        ValueError, match=r"w\.safetensors: no SHA-256 of net\.py is stated, so it is not run: make the weights of "
    ):
        models.load(path)
    assert not (tmp_path / "ran").exists()


# Plugins

PLUGIN = (
    NET
    + """
import timm
from mettle.models import ARCHITECTURES, Architecture

@timm.models.register_model
def own_of_timm(pretrained=False, num_classes=10, **options):
    return MyNet(num_classes)

ARCHITECTURES["own_of_mettle"] = Architecture(lambda classes, size: MyNet(classes), "convolutions", "")
"""
)


@pytest.fixture
def plugin(net):
    (net.parent / "plugin.py").write_text(PLUGIN)
    yield "plugin.py"
    models.ARCHITECTURES.pop("own_of_mettle", None)
    registry._model_entrypoints.pop("own_of_timm", None)
    own._run.cache_clear()


@pytest.mark.parametrize("arch", ["own_of_timm", "own_of_mettle"])
def test_a_plugin_registers_architectures(plugin, arch):
    with pytest.raises(ValueError, match=f"^unknown architecture '{arch}'"):
        models.build(arch, 5, 32)
    for _ in range(2):
        assert models.build(arch, 5, 32, code=own.digests([plugin])).fc.out_features == 5


@pytest.mark.filterwarnings("ignore:Overwriting resnet18")
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("resnet18", "timm.models.register_model(type('resnet18', (MyNet,), {}))"),
        ("vgg5", "ARCHITECTURES['vgg5'] = ARCHITECTURES['resnet8']"),
    ],
)
def test_a_plugin_that_takes_a_name_is_refused(plugin, net, name, line, monkeypatch):
    monkeypatch.setitem(models.ARCHITECTURES, "vgg5", models.ARCHITECTURES["vgg5"])
    monkeypatch.setitem(registry._model_entrypoints, "resnet18", timm.model_entrypoint("resnet18"))
    (net.parent / "plugin.py").write_text(f"{PLUGIN}\n{line}\n")
    with pytest.raises(ValueError, match=rf"^plugin\.py: registers '{name}', which there is already: choose another "):
        models.build("own_of_timm", 5, 32, code=own.digests([plugin]))
