"""Secrets of the environment reach no file: a training with both loggers, a job that fails, and the report."""

import base64
import re
import zlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from test_chain import plant

import trees

pytestmark = pytest.mark.workflow

SECRET = "hunter2-0123456789abcdef0123456789abcdef"
NAMES = ["WANDB_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "ZENODO_TOKEN"]
NAMES += ["SNAKEMAKE_STORAGE_S3_SECRET_KEY", "SNAKEMAKE_STORAGE_ZENODO_ACCESS_TOKEN", "GOOGLE_API_KEY"]
FORMS = [SECRET.encode(), base64.b64encode(SECRET.encode()).rstrip(b"=")]
MODEL = "resnet8-plain-s0"


def contents(path):
    """Bytes of a file, with what it holds packed: a table's metadata and cells, embedded files of a report."""
    data = path.read_bytes()
    yield data
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        yield repr((table.schema.metadata, [field.metadata for field in table.schema], table.to_pydict())).encode()
    for packed in re.findall(rb"base64,([A-Za-z0-9+/=]{40,})", data):
        plain = base64.b64decode(packed)
        yield plain
        if plain[:2] == b"\x1f\x8b":
            yield zlib.decompress(plain, wbits=31)


def told(folder):
    """Files below a folder that hold the secret."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(folder) for path in files if any(form in data for data in contents(path) for form in FORMS)
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the workflow for one model and both loggers, a home, and a folder for temporary files."""
    folder = tmp_path_factory.mktemp("secrets")
    tree = folder / "tree"
    plant(tree)
    config = yaml.safe_load((tree / "config" / "config.yaml").read_text())
    config["figures"] = {"accuracy": config["figures"]["accuracy"]}
    config["train"] = {"loggers": ["tensorboard", "wandb"], "wandb": {"project": "$(touch it_ran)"}}
    (tree / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    sheet = tree / "config" / "models" / "demo.tsv"
    lines = sheet.read_text().splitlines()
    sheet.write_text("\n".join(line for line in lines if line.startswith(("model", MODEL))))
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    return folder


def snakemake(place, *arguments):
    own = {"HOME": str(place / "home"), "TMPDIR": str(place / "tmp")} | dict.fromkeys(NAMES, SECRET)
    answer = trees.snakemake(place / "tree", "--cores", "1", "--verbose", *arguments, **own)
    with (place / "terminal.txt").open("a") as terminal:
        terminal.write(answer.stdout + answer.stderr)
    return answer


def test_a_run_with_loggers_a_failure_and_the_report_write_no_secret(place):
    target = "results/tables/accuracy.parquet"
    weights = place / "tree" / "results" / "train" / MODEL / "weights.safetensors"
    done = snakemake(place, target)
    assert done.returncode == 0, done.stdout + done.stderr
    assert snakemake(place, "--report", "results/report.html", "--", target).returncode == 0
    assert told(place) == set()
    weights.write_bytes(b"damaged")
    assert snakemake(place, "--keep-incomplete", target).returncode != 0
    written = [path.name for path in place.rglob("*") if path.is_file()]
    for pattern in (
        r"run-.*\.wandb",
        r"events\.out\..*",
        r"report\.html",
        r".*\.parquet",
        r".*\.snakemake\.log",
        r".*\.tsv",
    ):
        assert any(re.fullmatch(pattern, name) for name in written), f"no file {pattern}: this test looks at too little"
    assert "cannot be read as safetensors" in (place / "terminal.txt").read_text()
    assert told(place) == set()
    assert "it_ran" not in written


def test_a_secret_would_be_found_wherever_it_is(tmp_path):
    import pandas as pd

    packed = zlib.compressobj(wbits=31)
    gzipped = packed.compress(SECRET.encode()) + packed.flush()
    (tmp_path / "a.log").write_text(f"api_key = {SECRET}\n")
    (tmp_path / "b.html").write_bytes(b"<a href='data:text/plain;base64," + base64.b64encode(gzipped) + b"'>")
    (tmp_path / "c.html").write_bytes(b"base64," + base64.b64encode(b"x" * 31 + SECRET.encode()))
    pd.DataFrame({"value": [SECRET]}).to_parquet(tmp_path / "d.parquet", compression="zstd")
    pd.DataFrame({"value": [1]}).to_parquet(tmp_path / "e.parquet")
    assert told(tmp_path) == {Path(name) for name in ("a.log", "b.html", "c.html", "d.parquet")}
