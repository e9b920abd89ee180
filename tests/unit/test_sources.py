"""Sources: cells of a sheet that are understood, sentences for the others, and the files that they stand for."""

import re

import pytest

from imports import ROOT
from mettle import schema
from mettle.plan import sources
from mettle.plan.sources import SCHEMES, parse

DATASETS = [name for name, scheme in SCHEMES.items() if scheme.plugin]


@pytest.mark.parametrize(
    ("cell", "scheme", "address", "member"),
    [
        ("resources/c.pth", "", "resources/c.pth", ""),
        ("resources/all.zip#eps1/*.pt", "", "resources/all.zip", "eps1/*.pt"),
        ("http://host:8000/c.pth", "http", "http://host:8000/c.pth", ""),
        ("https://host/download?id=a&export=download&confirm=t", "https", None, ""),
        ("https://host/c?author=me&authors=we&keyword=x", "https", None, ""),
        ("https://zenodo.org/records/1/files/all.zip#a b/c.pt", "https", None, "a b/c.pt"),
        ("zenodo://record/13936007/all.zip#.", "zenodo", "zenodo://record/13936007/all.zip", "."),
        ("s3://bucket/folder/c.pth", "s3", "s3://bucket/folder/c.pth", ""),
        ("gs://bucket/c.pth", "gs", "gs://bucket/c.pth", ""),
        ("hf://owner/repository/folder/c.pth", "hf", "hf://owner/repository/folder/c.pth", ""),
    ],
)
def test_what_is_understood(cell, scheme, address, member):
    found = parse(cell, "here")
    assert (found.scheme, found.address, found.member) == (scheme, address or cell.partition("#")[0], member)
    assert found.remote == (scheme not in ("", "hf"))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            "ftp://host/c",
            "has the unknown scheme 'ftp'; there are http, https, zenodo, s3, gs, package, hf, robustbench$",
        ),
        ("C:/c.pth", "has the unknown scheme 'C'"),
        ("https://host", "is 'https://host', not of the form https://HOST/FILE$"),
        ("https:/host/c", "not of the form https://HOST/FILE$"),
        ("https://host/a b", "not of the form https://HOST/FILE$"),
        ("zenodo://13936007/c.pth", "not of the form zenodo://record/NUMBER/FILE$"),
        ("zenodo://record/13936007/", "not of the form zenodo://record/NUMBER/FILE$"),
        ("s3://bucket", "not of the form s3://BUCKET/KEY$"),
        ("s3://bucket/c?version=1", "not of the form s3://BUCKET/KEY$"),
        ("gs:///c", "not of the form gs://BUCKET/KEY$"),
        ("hf://owner/c.pth", r"not of the form hf://OWNER/REPOSITORY\[@REVISION\]\[/FILE\]$"),
        ("package:numpy", "not of the form package:NAME/FILE$"),
        ("https://host/all.zip#", "names nothing after '#'; '#.' is the whole archive$"),
    ],
)
def test_what_is_refused(cell, message):
    with pytest.raises(ValueError, match=r"^sheet, row 'x': column source .*" + message):
        parse(cell, "sheet, row 'x'")


def test_a_file_of_an_installed_package_is_found_without_importing_it():
    from importlib.metadata import files

    file = next(path for path in files("pytest-xdist") if path.name == "plugin.py")
    found = parse("package:xdist/plugin.py", "here")
    assert found.path.read_bytes() == file.read_binary() and found.package == "xdist" and not found.remote
    missing = parse("package:no_such_package/a/b.pth", "here")
    assert not missing.path.exists() and missing.path.parts[-3:] == ("no_such_package", "a", "b.pth")


def test_a_data_set_cannot_come_from_the_hub():
    with pytest.raises(ValueError, match=r"unknown scheme 'hf'; there are http, https, zenodo, s3, gs$"):
        parse("hf://owner/repository/c.zip", "here", DATASETS)


@pytest.mark.parametrize(
    "cell",
    [
        "https://me:hunter2@host/c",
        "https://hunter2@host/c",
        "s3://me:hunter2@bucket/c",
        "https://host/c?token=hunter2",
        "https://host/c?id=1&access_token=hunter2",
        "https://bucket.s3.amazonaws.com/c?X-Amz-Credential=hunter2&X-Amz-Date=1",
        "https://host/c?X-Goog-Signature=hunter2",
        "https://host/c?AWSAccessKeyId=hunter2",
        "https://host/c?sv=1&sig=hunter2",
        "https://host/c?api_key=hunter2",
        "https://host/c?Password=hunter2",
        "https://host/c?Authorization=hunter2",
    ],
)
def test_credentials_are_refused_and_not_repeated(cell):
    with pytest.raises(
        ValueError, match=r"^here: column source holds a password, token or signature; .* belong into"
    ) as told:
        parse(cell, "here")
    assert "hunter2" not in str(told.value)


def test_where_credentials_belong():
    with pytest.raises(ValueError, match=r"credentials for https belong into the file ~/\.netrc$"):
        parse("https://a:b@host/c", "here")
    with pytest.raises(ValueError, match=r"credentials for s3 belong into SNAKEMAKE_STORAGE_S3_ACCESS_KEY and"):
        parse("s3://a:b@bucket/c", "here")


def test_a_download_has_a_file_of_its_own():
    cells = [
        "https://h/d/c.pth",
        "https://h/e/c.pth",
        "https://h/d/c.pth?id=1",
        "https://h/d/c.pth?id=2",
        "s3://d/c.pth",
    ]
    assert len({parse(cell, "").path for cell in cells}) == len(cells)
    assert parse(cells[0] + "#a", "").path == parse(cells[0] + "#b", "").path
    assert parse("resources/c.pth#a", "").path.as_posix() == "resources/c.pth"


@pytest.mark.parametrize("last", ["..", "%2e%2e", "a{b}c", "", "ü" * 300, "-rf"])
def test_the_name_of_a_download_leads_nowhere_else(last):
    file = parse(f"https://host/a/../../{last}?x", "").file
    assert file.isascii() and len(file) < 100 and not set(file) & set("/{}% ")
    assert sources.DOWNLOADS / file == parse(f"https://host/a/../../{last}?x", "").path


def rows(**cells):
    return {f"sheet, row '{name}'": {"source": source, "sha256": sha256} for name, (source, sha256) in cells.items()}


def test_rows_share_a_download_and_its_sha256():
    url = "https://host/all.zip"
    found = sources.parse_all(
        rows(digits=("", ""), a=("resources/a", "")),
        rows(b=("train", ""), c=(f"{url}#c", ""), d=(f"{url}#d", "1" * 64), e=("hf://o/r/f", ""), f=("s3://b/k", "")),
    )
    assert list(found.values()) == [
        {"url": url, "where": "sheet, row 'c'", "mirror": "", "sha256": "1" * 64},
        {"url": "s3://b/k", "where": "sheet, row 'f'", "mirror": "", "sha256": ""},
    ]
    assert list(found) == [parse(row["url"], "").file for row in found.values()]


def test_rows_that_state_different_sha256_are_told():
    models = rows(c=("https://h/c#a", "1" * 64), d=("https://h/c#b", "2" * 64))
    with pytest.raises(
        ValueError, match=r"^sheet, row 'd': states another SHA-256 of https://h/c than sheet, row 'c'$"
    ):
        sources.parse_all({}, models)


MIRROR = "https://other/c.pth"


def mirrored(source, mirror):
    return {"source": source, "mirror": mirror}


def test_a_second_address():
    found = sources.parse_all({}, {"a": mirrored("https://h/c#a", ""), "b": mirrored("https://h/c#b", MIRROR)})
    assert [(row["url"], row["mirror"]) for row in found.values()] == [("https://h/c", MIRROR)]


@pytest.mark.parametrize(
    ("source", "mirror", "told"),
    [
        (
            "a.pth",
            MIRROR,
            "column mirror is a second address for the rule download, which does not fetch the source 'a.pth'",
        ),
        ("hf://o/r/f", MIRROR, "does not fetch the source 'hf://o/r/f': leave mirror empty"),
        ("https://h/c", "b.pth", "column mirror is 'b.pth', not the address of a file"),
        ("https://h/c", f"{MIRROR}#a", "not the address of a file; # is for source only"),
        ("https://h/c", "ftp://h/c", "column mirror has the unknown scheme 'ftp'"),
        ("https://h/c", "https://h/c?token=x", "column mirror holds a password"),
    ],
)
def test_a_second_address_that_cannot_be_one_is_told(source, mirror, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        sources.parse_all({}, {"sheet, row 'x'": mirrored(source, mirror)})


def test_rows_that_state_different_second_addresses_are_told():
    rows = {"a": mirrored("https://h/c", MIRROR), "b": mirrored("https://h/c", "https://third/c")}
    with pytest.raises(ValueError, match=r"^b: states another mirror of https://h/c than a$"):
        sources.parse_all({}, rows)


def test_all_shipped_sources_are_understood():
    datasets = schema.read_sheet(ROOT / "config" / "datasets.tsv", "datasets")
    folder = (ROOT / "config" / "models").glob("*.tsv")
    read = {path.stem: schema.read_sheet(path, "models") for path in sorted(folder)}
    assert {"demo", "universality"} < read.keys()
    assert sources.parse_all(datasets, read["demo"] | read["universality"]) == {}
    assert len(sources.parse_all({}, read["light_recipe"])) == 22
    # An archive may hold several models: an address and a file in it per data set and kind, behind `#`.
    assert {
        row["url"].partition("/*")[0] for row in sources.parse_all({}, read["universality_published"]).values()
    } == {"zenodo://record/13936007+14802537+13936033+14802491"}


def test_a_sheet_keeps_what_is_behind_a_number_sign(tmp_path):
    path = tmp_path / "datasets.tsv"
    head = "dataset\ttask\tclasses\tsize\treader\tsource\ttrain"
    path.write_text(f"# a comment\n{head}\nmine\tclassification\t2\t0\tfolder\ta.zip#b\ttrain\n  # another\n")
    assert schema.read_sheet(path, "datasets")["mine"]["source"] == "a.zip#b"
