"""Remote sources through the workflow: fetched once from a local server, checked, tried again, not looked up later."""

import hashlib
import io
import pickle
import re
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

import trees
from mettle import models, tables
from servers import serving
from trees import said

pytestmark = pytest.mark.workflow

STORE = "results/prep/tiny/test.lmdb"
WEIGHTS = "results/train/resnet8-plain-s0/weights.safetensors"


def cifar():
    """A tiny CIFAR-10 in its python version, packed as published."""
    data = np.random.default_rng(0).integers(256, size=(10, 3072), dtype=np.uint8)
    files = {"test_batch": {b"data": data, b"labels": list(range(10))}}
    files["batches.meta"] = {b"label_names": [f"class{label}".encode() for label in range(10)]}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, value in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            content = pickle.dumps(value)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def images():
    """A data set in one folder per class, packed as a zip archive with a folder around it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for label in range(10):
            image = io.BytesIO()
            Image.new("RGB", (32, 32), (label, 0, 0)).save(image, "PNG")
            archive.writestr(f"data-1.0/test/class{label}/1.png", image.getvalue())
    return packed.getvalue()


def checkpoints():
    """A zip archive with the weights of two networks."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for seed in (0, 1):
            torch.manual_seed(seed)
            state = io.BytesIO()
            torch.save(models.build("resnet8", 10, 32).state_dict(), state)
            archive.writestr(f"all/s{seed}/resnet8.pt", state.getvalue())
    return packed.getvalue()


CIFAR = cifar()


@pytest.fixture
def server():
    with serving({"/cifar.tar.gz": CIFAR}) as found:
        yield found


@pytest.fixture
def tree(tmp_path, server):
    trees.plant(tmp_path, {"seed": 0, "figures": {}})
    sheets(tmp_path, f"{server.url}/cifar.tar.gz")
    return tmp_path


def sheets(tree, source, sha256="", reader="cifar10_python", checkpoint="train"):
    head = "dataset\ttask\tclasses\tsize\treader\tsource\tsha256\ttest\ttrain"
    row = f"tiny\tclassification\t10\t32\t{reader}\t{source}\t{sha256}\ttest\t"
    (tree / "config" / "datasets.tsv").write_text(f"{head}\n{row}\n")
    head = "model\tdataset\tarch\trecipe\tseed\tsource\tformat"
    row = f"resnet8-plain-s0\ttiny\tresnet8\tplain\t0\t{checkpoint}\ttimm"
    (tree / "config" / "models" / "demo.tsv").write_text(f"{head}\n{row}\n")


def snakemake(tree, *arguments, **variables):
    answer = trees.snakemake(tree, "--cores", "1", *arguments, **variables)
    return answer.returncode, said(answer)


def rules(text):
    return set(re.findall(r"^(?:local)?rule (\w+):$", text, re.MULTILINE))


def kept(tree):
    folder = tree / "resources" / "downloads"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_a_data_set_is_fetched_once_and_then_not_looked_up(tree, server):
    code, text = snakemake(tree, "-n", STORE)
    assert code == 0 and rules(text) == {"download", "prep"} and not server.asked  # a dry run needs no network
    code, text = snakemake(tree, STORE)
    assert code == 0, text
    assert len(tables.read(tree / "results/prep/tiny/test.parquet", tables.MANIFEST)) == 10
    (file,) = kept(tree)
    assert re.fullmatch(r"[0-9a-f]{12}-cifar\.tar\.gz", file) and server.gets() == ["/cifar.tar.gz"]
    log = (tree / "logs" / "download" / f"{file}.log").read_text()
    assert (
        f"SHA-256 {hashlib.sha256(CIFAR).hexdigest()}: put it into column `sha256` of config/datasets.tsv, row" in log
    )

    server.asked.clear()
    assert "Nothing to be done" in snakemake(tree, "-n", "--rerun-incomplete", STORE)[1]
    assert rules(snakemake(tree, "-n", "--forceall", STORE)[1]) == {"prep"}
    # As an executor such as Slurm starts a job: another snakemake reads the workflow anew.
    job = ("--mode", "subprocess", "--force", "--nolock", "--target-jobs", "prep:dataset=tiny,split=test")
    code, text = snakemake(tree, *job, "--allowed-rules", "prep", "--local-groupid", "local")
    assert code == 0, text
    assert not server.asked

    (tree / "resources" / "downloads" / file).unlink()
    assert "Nothing to be done" in snakemake(tree, "-n", STORE)[1]
    assert rules(snakemake(tree, "-n", "--forceall", STORE)[1]) == {"download", "prep"}


def test_another_sha256_and_a_body_that_ends_early_leave_no_file(tree, server):
    sheets(tree, f"{server.url}/cifar.tar.gz", "0" * 64)
    code, text = snakemake(tree, STORE)
    assert code == 1 and "tiny': http" in text and "the row says 000" in text
    server.short["/cifar.tar.gz"] = 9
    sheets(tree, f"{server.url}/cifar.tar.gz")
    code, text = snakemake(tree, STORE)
    assert code == 1 and "config/datasets.tsv, row 'tiny': http" in text and "IncompleteRead" in text
    assert not kept(tree) and not (tree / "results" / "prep").exists()


def test_a_broken_answer_is_tried_again(tree, server):
    server.status["/cifar.tar.gz"] = [503]
    server.short["/cifar.tar.gz"] = 1
    sheets(tree, f"{server.url}/cifar.tar.gz", hashlib.sha256(CIFAR).hexdigest())
    code, text = snakemake(tree, "--retries", "2", STORE)
    assert code == 0, text
    assert server.gets() == ["/cifar.tar.gz"] * 3 and len(kept(tree)) == 1


def test_a_failed_download_stops_nothing_else(tree, server):
    server.files["/all.zip"] = checkpoints()
    sheets(tree, f"{server.url}/missing.tar.gz", checkpoint=f"{server.url}/all.zip#*s1/*.pt")
    code, text = snakemake(tree, "--keep-going", STORE, WEIGHTS)
    assert code == 1 and "404 Client Error: Not Found" in text and "put the file at resources/downloads/" in text
    torch.manual_seed(1)
    made, about = models.load(tree / WEIGHTS)
    wanted = models.build("resnet8", 10, 32).state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in made.network.state_dict().items())
    assert about["source"].endswith("/all.zip#*s1/*.pt")
    assert about["sha256"] == hashlib.sha256(server.files["/all.zip"]).hexdigest()


def test_credentials_come_from_the_environment_and_stay_there(tree, server):
    server.files["/bucket/cifar.tar.gz"] = CIFAR
    sheets(tree, "s3://bucket/cifar.tar.gz")
    secrets = {"SNAKEMAKE_STORAGE_S3_ACCESS_KEY": "hunter1", "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "hunter2"}
    code, text = snakemake(tree, STORE, **secrets, SNAKEMAKE_STORAGE_S3_ENDPOINT_URL=server.url)
    assert code == 0, text
    assert not re.search("hunter[12]", text)
    assert not [path for path in tree.rglob("*") if path.is_file() and re.search(b"hunter[12]", path.read_bytes())]


def test_a_folder_of_images_in_an_archive(tree, server):
    server.files["/data.zip"] = images()
    sheets(tree, f"{server.url}/data.zip#data-1.0", reader="folder")
    code, text = snakemake(tree, STORE)
    assert code == 0, text
    manifest = tables.read(tree / "results/prep/tiny/test.parquet", tables.MANIFEST)
    assert manifest["source"].tolist() == [f"test/class{label}/1.png" for label in range(10)]


def test_a_file_put_there_by_hand_is_used(tree, server):
    server.files.clear()
    _, text = snakemake(tree, STORE)
    path = tree / re.search(r"put the file at (\S+) by hand", text)[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CIFAR)
    code, text = snakemake(tree, STORE)
    assert code == 0, text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ftp://host/c", "has the unknown scheme 'ftp'; there are http, https, zenodo, s3, gs"),
        ("https://me:hunter2@host/c", "holds a password, token or signature"),
    ],
)
def test_a_wrong_source_ends_the_dry_run_with_one_sentence(tree, source, message):
    sheets(tree, source)
    code, text = snakemake(tree, "-n", STORE)
    assert code == 1 and f"config/datasets.tsv, row 'tiny': column source {message}" in text
    assert "Traceback" not in text and "hunter2" not in text
