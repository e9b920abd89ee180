"""The download stage against local servers: a whole file of the right SHA-256, or one sentence and no file."""

import base64
import hashlib
import json
import re
import types

import pytest

from mettle.stages.download import download
from servers import serving

CONTENT = bytes(range(256)) * 40
SHA = hashlib.sha256(CONTENT).hexdigest()
PREFIX = "SNAKEMAKE_STORAGE_"


@pytest.fixture
def job():
    said = []
    return types.SimpleNamespace(say=said.append, said=said)


@pytest.fixture
def server():
    with serving({"/d/c.pth": CONTENT}) as found:
        yield found


@pytest.fixture
def target(tmp_path):
    return tmp_path / "downloads" / "c.pth"


def source(url, sha256="", mirror=""):
    return {"url": url, "mirror": mirror, "sha256": sha256, "where": "sheet, row 'x'"}


def left(target):
    return [path.name for path in target.parent.iterdir()]


def test_a_file_with_the_right_sha256(server, target, job):
    download(source(f"{server.url}/d/c.pth", SHA), target, job)
    assert target.read_bytes() == CONTENT and left(target) == ["c.pth"]
    assert server.gets() == ["/d/c.pth"] and not any("SHA-256" in text for text in job.said)


def test_the_sha256_is_told_where_the_row_has_none(server, target, job):
    download(source(f"{server.url}/d/c.pth"), target, job)
    (told,) = [text for text in job.said if "SHA-256" in text]
    assert (
        told
        == f"SHA-256 {SHA}: put it into column `sha256` of sheet, row 'x' to have it checked, or run `make checksums`"
    )


def test_another_sha256_leaves_no_file(server, target, job):
    message = rf"^sheet, row 'x': {server.url}/d/c\.pth has SHA-256 {SHA}, the row says 0{{64}}: try again, or correct"
    with pytest.raises(ValueError, match=message):
        download(source(f"{server.url}/d/c.pth", "0" * 64), target, job)
    assert not left(target)


def refuses(url, target, job, reason):
    what = rf"^sheet, row 'x': {re.escape(url)} cannot be downloaded \({reason}\)"
    message = rf"{what}: try again, or put the file at {target} by hand$"
    with pytest.raises(ConnectionError, match=message) as told:
        download(source(url), target, job)
    assert not left(target) and told.value.__suppress_context__  # the log shows no more than the sentence


def test_a_body_that_ends_early_leaves_no_file(server, target, job):
    server.short["/d/c.pth"] = 1
    refuses(f"{server.url}/d/c.pth", target, job, r"IncompleteRead\(5120 bytes read, 5120 more expected\)")
    download(source(f"{server.url}/d/c.pth", SHA), target, job)


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_an_answer_that_is_an_error_leaves_no_file(server, target, job, status):
    server.status["/d/c.pth"] = [status]
    refuses(f"{server.url}/d/c.pth", target, job, rf"{status} \w+ Error: .* for url: {server.url}/d/c\.pth")


def test_a_web_page_is_no_file(server, target, job):
    server.kind["/d/c.pth"] = "text/html; charset=utf-8"
    refuses(f"{server.url}/d/c.pth", target, job, "a web page came instead of a file")


def test_nothing_that_answers(target, job):
    refuses("http://127.0.0.1:9/c.pth", target, job, r"\[Errno 111\] Connection refused")


def test_a_server_that_stops_sending(server, target, job, monkeypatch):
    monkeypatch.setattr("mettle.stages.download._TIMEOUT", 0.2)
    server.slow.add("/d/c.pth")
    refuses(f"{server.url}/d/c.pth", target, job, ".*timed out.*")


def test_the_second_address_is_asked_when_the_first_gives_no_file(server, target, job):
    server.kind["/page"], server.files["/page"] = "text/html", b"too many downloads"
    download(source(f"{server.url}/page", SHA, f"{server.url}/d/c.pth"), target, job)
    assert target.read_bytes() == CONTENT and left(target) == ["c.pth"]
    assert server.gets() == ["/page", "/d/c.pth"]
    assert any("/page cannot be downloaded (a web page came instead of a file)" in text for text in job.said)


def test_what_only_a_browser_gets_is_named_with_its_page_and_its_place(monkeypatch, target, job):
    async def refused(found, plugin):
        raise ConnectionError("a web page came instead of a file")

    monkeypatch.setattr("mettle.stages.download._fetch", refused)
    url = "https://drive.usercontent.google.com/download?id=15tUx-gkZMY&export=download&confirm=t"
    message = (
        rf"\(a web page came instead of a file\): try again, or put the file at {target} by hand, from "
        r"https://drive.google.com/file/d/15tUx-gkZMY/view in a browser$"
    )
    with pytest.raises(ConnectionError, match=message):
        download(source(url), target, job)


def test_the_second_address_is_not_asked_without_need(server, target, job):
    download(source(f"{server.url}/d/c.pth", SHA, f"{server.url}/other"), target, job)
    assert server.gets() == ["/d/c.pth"]


def test_a_second_address_with_another_file_is_refused(server, target, job):
    server.files["/other"] = b"other"
    message = (
        rf"^sheet, row 'x': {server.url}/no cannot be downloaded \(404 .*\): try again, or put the file at {target} by "
        rf"hand; {server.url}/other has SHA-256 [0-9a-f]{{64}}, the row says {SHA}: try again, or correct the row$"
    )
    with pytest.raises(ValueError, match=message):
        download(source(f"{server.url}/no", SHA, f"{server.url}/other"), target, job)
    assert not left(target)


def test_what_a_killed_job_left_does_no_harm(server, target, job):
    target.parent.mkdir()
    target.with_name(".c.pth.part").write_bytes(CONTENT + b"of another time")
    download(source(f"{server.url}/d/c.pth", SHA), target, job)
    assert left(target) == ["c.pth"]


def test_the_path_of_an_address_leads_nowhere_else(server, target, job, tmp_path):
    server.files["/d/../../../../evil"] = server.files["/evil"] = b"evil"
    download(source(f"{server.url}/d/../../../../evil"), target, job)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"c.pth"}


def test_queries_of_addresses_are_not_told_of_others(server, target, job):
    # A server may send on to an address that is signed.
    server.sends_on["/d/c.pth"] = f"{server.url}/signed?token=hunter2"
    with pytest.raises(ConnectionError, match=rf"404 Client Error: Not Found for url: {server.url}/signed\)") as told:
        download(source(f"{server.url}/d/c.pth"), target, job)
    assert "hunter2" not in str(told.value)


def test_a_password_comes_from_netrc(server, target, job, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    download(source(f"{server.url}/d/c.pth", SHA), target, job)
    assert server.credentials[-1] == f"Basic {base64.b64encode(b'me:hunter2').decode()}"


# The other plugins, against as much of their services as is needed


@pytest.fixture
def s3(server, monkeypatch):
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it keeps the credentials of the test before
    monkeypatch.setenv(f"{PREFIX}S3_ENDPOINT_URL", server.url)
    monkeypatch.setenv(f"{PREFIX}S3_ACCESS_KEY", "key")
    monkeypatch.setenv(f"{PREFIX}S3_SECRET_KEY", "hunter2")
    return server


def test_s3_with_the_credentials_of_the_aws_tools(s3, target, job, monkeypatch):
    for ours, theirs in (("ACCESS_KEY", "AWS_ACCESS_KEY_ID"), ("SECRET_KEY", "AWS_SECRET_ACCESS_KEY")):
        monkeypatch.delenv(f"{PREFIX}S3_{ours}")
        monkeypatch.setenv(theirs, "theirs")
    download(source("s3://d/c.pth", SHA), target, job)
    assert "Credential=theirs/" in s3.credentials[-1]


def test_a_file_in_an_s3_bucket(s3, target, job):
    download(source("s3://d/c.pth", SHA), target, job)
    assert target.read_bytes() == CONTENT and left(target) == ["c.pth"]
    assert ("HEAD", "/d/c.pth") in s3.asked and "hunter2" not in " ".join(job.said)


def test_no_such_key_in_an_s3_bucket(s3, target, job):
    refuses("s3://d/no.pth", target, job, "there is no such file")


def test_s3_without_credentials(s3, target, job, monkeypatch, tmp_path):
    for name in (f"{PREFIX}S3_ACCESS_KEY", f"{PREFIX}S3_SECRET_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    refuses("s3://d/c.pth", target, job, "Unable to locate credentials")


@pytest.fixture
def gs(server, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    monkeypatch.setenv(f"{PREFIX}GCS_PROJECT", "project")
    return server


def test_a_file_in_a_google_bucket(gs, target, job):
    download(source("gs://d/c.pth", SHA), target, job)
    assert target.read_bytes() == CONTENT and left(target) == ["c.pth"]


def test_no_such_key_in_a_google_bucket(gs, target, job):
    refuses("gs://d/no.pth", target, job, "there is no such file")


@pytest.fixture
def zenodo(server, monkeypatch):
    from snakemake_storage_plugin_zenodo import ZENHelper

    make = ZENHelper.__init__

    def local(self, *arguments, **options):
        make(self, *arguments, **options)
        self._baseurl = server.url

    monkeypatch.setattr(ZENHelper, "__init__", local)
    monkeypatch.setenv(f"{PREFIX}ZENODO_ACCESS_TOKEN", "hunter2")
    links = {"self": f"{server.url}/d/c.pth"}
    about = {"key": "c.pth", "checksum": f"md5:{hashlib.md5(CONTENT).hexdigest()}", "size": len(CONTENT)}
    server.files["/api/records/77"] = json.dumps({"files": [about | {"links": links}]}).encode()
    return server


def test_a_file_of_a_zenodo_record(zenodo, target, job):
    download(source("zenodo://record/77/c.pth", SHA), target, job)
    assert target.read_bytes() == CONTENT and left(target) == ["c.pth"]


def test_no_such_file_on_zenodo(zenodo, target, job):
    text = r"'77/no\.pth' fits 0 names in what Zenodo has of record 77, not one; there are 77/c\.pth"
    refuses("zenodo://record/77/no.pth", target, job, text)


def test_no_such_record_on_zenodo(zenodo, target, job):
    refuses("zenodo://record/78/c.pth", target, job, "404 Client Error: Not Found for url: .*")


@pytest.mark.parametrize("address", ["77/*.pth", "77+79/c.pth", "79+77/c*"])
def test_a_pattern_that_one_file_of_some_zenodo_records_fits(zenodo, target, job, address):
    zenodo.files["/api/records/79"] = json.dumps({"files": []}).encode()
    download(source(f"zenodo://record/{address}", SHA), target, job)
    assert target.read_bytes() == CONTENT and left(target) == ["c.pth"]


def test_a_pattern_that_several_files_fit_lists_what_is_there(zenodo, target, job):
    record = json.loads(zenodo.files["/api/records/77"])["files"][0]
    zenodo.files["/api/records/79"] = json.dumps({"files": [record, record | {"key": "d.zip"}]}).encode()
    text = r"'\*/\*\.pth' fits 2 names in .* 77, 79, not one; there are 77/c\.pth, 79/c\.pth, 79/d\.zip"
    refuses("zenodo://record/77+79/*.pth", target, job, text)


@pytest.mark.parametrize(
    ("url", "variable"), [("zenodo://record/77/c.pth", "ZENODO_ACCESS_TOKEN"), ("gs://d/c.pth", "GCS_PROJECT")]
)
def test_a_setting_that_a_plugin_needs(target, job, monkeypatch, url, variable):
    monkeypatch.delenv(f"{PREFIX}{variable}", raising=False)
    with pytest.raises(ValueError, match=rf"^sheet, row 'x': .* needs the environment variable {PREFIX}{variable}$"):
        download(source(url), target, job)
