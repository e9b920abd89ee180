"""Checkpoints on Hugging Face, from a local server that answers as its file service does: the file of a revision."""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading

import pytest

from imports import ROOT
from mettle.plan.sources import parse

FILES = {
    ("owner/net", "main", "model.safetensors"): b"newest",
    ("owner/net", "v1.0", "model.safetensors"): b"first",
    ("owner/net.a_b", "main", "folder/c.pt"): b"other",
}
COMMITS = {"main": "a" * 40, "v1.0": "b" * 40}


class Hub(http.server.BaseHTTPRequestHandler):
    """`HEAD` and `GET /OWNER/REPOSITORY/resolve/REVISION/FILE`."""

    def do_HEAD(self):
        owner, name, _, revision, file = (*self.path.strip("/").split("/", 4), *[""] * 4)[:5]
        content = FILES.get((f"{owner}/{name}", revision, file))
        self.send_response(404 if content is None else 200)
        if content is None:
            self.send_header("X-Error-Code", "RevisionNotFound")
        self.send_header("X-Repo-Commit", COMMITS.get(revision, revision))
        self.send_header("ETag", f'"{hashlib.sha256(content or b"").hexdigest()}"')
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        return content

    def do_GET(self):
        self.wfile.write(self.do_HEAD() or b"")

    def log_message(self, *args):
        pass


# One source a line; its file, what was said and its copy at hand, or the error.
SCRIPT = """
import json, sys, types
from mettle.commands import checksums
from mettle.data.checkpoints import fetched
from mettle.plan.sources import parse

for source in sys.argv[1:]:
    said = []
    job = types.SimpleNamespace(say=said.append)
    try:
        found = fetched({"model": "m", "source": source}, job)
        kept = checksums._cached(parse(source, "here"))
        print(json.dumps([found.path.read_text(), found.sha256, said[0], kept.read_text()]))
    except Exception as error:
        print(json.dumps([type(error).__name__, str(checksums._cached(parse(source, "here")))]))
"""
CASES = {
    "hf://owner/net": ("newest", "downloads model.safetensors from owner/net"),
    "hf://owner/net@v1.0": ("first", "downloads model.safetensors from owner/net at v1.0"),
    "hf://owner/net@v1.0/model.safetensors": ("first", "downloads model.safetensors from owner/net at v1.0"),
    "hf://owner/net.a_b/folder/c.pt": ("other", "downloads folder/c.pt from owner/net.a_b"),
}
MISSING = "hf://owner/net@v2"


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What a process gets whose HF_ENDPOINT is the local server, by source."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path_factory.mktemp("hub"))}
    told |= {"PYTHONPATH": str(ROOT / "workflow" / "scripts"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-c", SCRIPT, *CASES, MISSING]
    done = subprocess.run(command, env=os.environ | told, capture_output=True, text=True, check=False, timeout=120)
    server.shutdown()
    server.server_close()
    assert done.returncode == 0, done.stderr
    return dict(zip([*CASES, MISSING], map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("source", CASES)
def test_the_file_of_a_revision_is_fetched_and_then_at_hand(answers, source):
    content, said = CASES[source]
    digest = hashlib.sha256(content.encode()).hexdigest()
    assert answers[source] == [content, digest, said, content]


def test_a_revision_that_is_not_there_is_an_error_and_no_file(answers):
    assert answers[MISSING] == ["RevisionNotFoundError", "None"]


def test_repository_revision_and_file():
    assert parse("hf://owner/net", "here").hub == ("owner/net", None, "model.safetensors")
    assert parse("hf://owner/net.b@abc/folder/c.pt", "here").hub == ("owner/net.b", "abc", "folder/c.pt")
