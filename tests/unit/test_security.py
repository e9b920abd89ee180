"""Nothing that a file or the configuration holds is run: files made to attack are refused, no source could run them."""

import io
import pickle
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from imports import ROOT
from mettle import models, schema
from mettle.data import cifar
from mettle.flow.parts import Parts
from mettle.models import published
from mettle.models.checkpoint import Checkpoint
from mettle.models.published import FORMATS
from unsafe import unsafe


class Evil:
    """Makes a file when it is unpickled the usual way."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def evil(tmp_path):
    """A pickle that runs something; nothing may have run once the test is done."""
    mark = tmp_path / "it ran"
    yield Evil(mark)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Evil(mark)))
    assert mark.exists(), "the pickle of this test is harmless, so it tests nothing"


ZIP = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


# Files made to attack


@ZIP
@pytest.mark.parametrize("name", ["", *FORMATS])
def test_a_published_checkpoint_runs_nothing(tmp_path, evil, name, zipped):
    path = tmp_path / "c.pth"
    # Checkpoints hold objects of the programs that wrote them, which become inert.
    weights = {"0.weight": torch.ones(2, 2), "0.bias": torch.ones(2), "0.evil": evil}
    whole = {"model": {"mean": torch.ones(3), "std": torch.ones(3)} | weights, "more": evil, "state_dict": evil}
    torch.save(whole, path, _use_new_zipfile_serialization=zipped)
    found = published.read(path, nn.Linear(2, 2), name)
    assert set(found.state) == {"weight", "bias"} and found.normaliser is not None


@ZIP
def test_a_checkpoint_that_is_one_object_runs_nothing(tmp_path, evil, zipped):
    torch.save(evil, tmp_path / "c.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"c\.pth: it holds an object of \S+, which only its own code can open"):
        published.read(tmp_path / "c.pth", nn.Linear(2, 2))


@ZIP
def test_the_state_of_a_training_runs_nothing(tmp_path, evil, zipped):
    state = {"fingerprint": "f", "model": {"weight": torch.ones(2)}, "more": evil}
    torch.save(state, tmp_path / "last.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"last\.pt is not a training checkpoint; delete it to start over$"):
        Checkpoint(tmp_path, "f").load()


@pytest.mark.parametrize("content", [b"", b"hello", bytes(1000)])
def test_a_damaged_state_of_a_training_is_named(tmp_path, content):
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"last\.pt is not a training checkpoint; delete it to start over$"):
        Checkpoint(tmp_path, "f").load()


def test_weights_are_no_pickle(tmp_path, evil):
    torch.save({"weight": evil}, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match=r"weights\.safetensors cannot be read as safetensors: "):
        models.load(tmp_path / "weights.safetensors")


@pytest.mark.parametrize("name", [name for name in cifar.VERSIONS if name.endswith("_python")])
def test_a_cifar_archive_runs_nothing(tmp_path, evil, name):
    version, path = cifar.VERSIONS[name], tmp_path / "cifar.tar.gz"
    data = pickle.dumps({version.labels[1]: ["a", "b"], "more": evil})
    with tarfile.open(path, "w:gz") as archive:
        for file in (version.names, *version.train):
            info = tarfile.TarInfo(f"{version.folder}/{file}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    with pytest.raises(
        ValueError, match=r"cifar\.tar\.gz: \S+ is damaged or not a CIFAR file: it asks for pathlib\.Path\.touch"
    ):
        version.read(path, "train", 2, 0)


def test_answers_to_batches_are_no_pickle(tmp_path, evil):
    parts = Parts(tmp_path / "parts", "f", 1)
    parts.save(0, {"logits": np.array([evil, None])})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        parts.collect()


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:pathlib.Path.touch [{}]", "!!python/object/apply:os.system ['touch {}']"]
)
def test_yaml_makes_no_objects(tmp_path, tag):
    path, mark = tmp_path / "recipe.yaml", tmp_path / "it ran"
    path.write_text(f"epochs: {tag.format(mark)}\n")
    with pytest.raises(ValueError, match=r"recipe\.yaml is not valid YAML: could not determine a constructor"):
        schema.read_yaml(path)
    assert not mark.exists()


# Sources

SOURCES = sorted(
    path for folder in ("workflow", "benchmarks", "docs", "envs") for path in (ROOT / folder).rglob("*.py")
)
# Calls that are allowed, and why.
ALLOWED = {
    # Its `pickle_module` is our Unpickler, which looks up tensors and plain containers only: tried above.
    "workflow/scripts/mettle/models/unpickled.py": ["torch.load"],
    # Files that the user names as code: `arch: net.py:MyNet`, and `plugins`.
    "workflow/scripts/mettle/models/own.py": ["exec", "compile"],
}


def test_there_are_sources():
    assert len(SOURCES) > 100


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_calls_nothing_that_runs_data(path):
    found = [line.split(": ")[1] for line in unsafe(path.read_text())]
    assert found == ALLOWED.get(str(path.relative_to(ROOT)), [])


def test_the_one_unpickler_that_torch_is_given_is_ours():
    text = (ROOT / "workflow/scripts/mettle/models/unpickled.py").read_text()
    assert re.findall(r"torch\.load\(.*\)", text) == [
        'torch.load(file, map_location="cpu", pickle_module=_Pickle, weights_only=False)'
    ]


@pytest.mark.parametrize(
    "line",
    [
        "import torch; torch.load(path)",
        "import torch; torch.load(path, weights_only=False)",
        "import torch; torch.load(path, weights_only=safe)",
        "from torch import load; load(path)",
        "import torch as t; t.load(path)",
        "import pickle; pickle.load(file)",
        "import pickle; pickle.loads(data)",
        "import pickle; pickle.Unpickler(file).load()",
        "from pickle import loads as read; read(data)",
        "import dill; dill.load(file)",
        "import pickle\nclass Mine(pickle.Unpickler):\n    pass",
        "import numpy as np; np.load(path, allow_pickle=True)",
        "import numpy; numpy.load(path)",
        "import pandas as pd; pd.read_pickle(path)",
        "import yaml; yaml.load(text, yaml.Loader)",
        "import yaml; yaml.unsafe_load(text)",
        "import tarfile; tarfile.open(path).extractall()",
        "with tarfile.open(path) as archive:\n    archive.extractall('here')",
        "eval(text)",
        "exec(text)",
        "import os; os.system(f'rm {path}')",
        "from os import system; system(text)",
        "import subprocess; subprocess.run(['sh', '-c', text], shell=True)",
        "import subprocess; subprocess.run(f'wget {url}')",
        "import subprocess as s; s.check_output('wget ' + url)",
        "from subprocess import Popen; Popen(command, shell=yes)",
    ],
)
def test_each_unsafe_call_is_found(line):
    assert len(unsafe(line)) == 1


def test_safe_calls_are_not():
    assert not unsafe(
        "import torch, yaml, subprocess, numpy as np, pickle\n"
        "torch.load(path, map_location='cpu', weights_only=True); yaml.safe_load(text); model.eval()\n"
        "np.load(path, allow_pickle=False); subprocess.run(['git', path]); subprocess.run(command, check=True)\n"
        "class Mine(pickle.Unpickler):\n    def find_class(self, module, name):\n        raise ValueError\n"
    )


def rule_files():
    return [ROOT / "Snakefile", ROOT / "workflow" / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk"))]


@pytest.mark.parametrize("path", rule_files(), ids=lambda path: path.name)
def test_no_rule_has_a_shell_command(path):
    # What a configuration holds reaches jobs as `params` of a script, never as text of a command.
    assert not re.search(
        r"^\s*(shell|run|notebook|wrapper|cwl):|\b(shell|system|popen|eval|exec)\(", path.read_text(), re.M
    )


# Keys and values

KEYS = ["wandb_api_key", "aws_secret_access_key", "hf_token", "password"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("place", [(), ("train",), ("train", "wandb")])
def test_a_secret_in_the_configuration_is_refused_and_not_repeated(place, key):
    block = {key: "hunter2"}
    for name in reversed(place):
        block = {name: block}
    with pytest.raises(ValueError, match=rf"^configuration: unknown key '{'.'.join((*place, key))}'") as caught:
        schema.check({"figures": {}} | block, "config", "configuration")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["a;touch it", "$(touch it)", "`touch it`", "a b", "../a", "a|b", "a\nb"])
def test_a_name_that_a_shell_would_run_is_refused(name):
    row = {"dataset": "digits", "arch": "resnet8", "recipe": "plain", "threat": "none", "eps": 0, "seed": 0}
    schema.check(row | {"model": "resnet8-plain-s0", "source": "train"}, "models", "here")
    for key in ("model", "dataset", "arch", "recipe"):
        with pytest.raises(ValueError, match=rf"^here: .*{key}"):
            schema.check({"model": "resnet8-plain-s0", "source": "train"} | row | {key: name}, "models", "here")
