"""
A web server in the process of the test: it can do what servers do wrong, and speaks as much of S3 and of Google Cloud
Storage as a read needs.
"""

import base64
import http.server
import json
import threading
from collections import Counter
from contextlib import contextmanager
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c
import pytest


class Server(http.server.ThreadingHTTPServer):
    """Answers from `files` (content by path with query) and keeps what it was asked.

    Attributes
    ----------
    files : content by path
    status : statuses of the first GETs of a path, in place of its content
    short : how many of the first GETs of a path end early
    slow : paths whose answers never end
    kind : Content-Type by path
    sends_on : other address by path
    asked : (verb, path), in order
    credentials : the header Authorization of each
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.status, self.short, self.kind = {}, {}, Counter(), {}
        self.slow, self.sends_on, self.asked, self.credentials = set(), {}, [], []
        self.closing = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def gets(self):
        return [path for verb, path in self.asked if verb == "GET"]


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        server = self.server
        server.asked.append((self.command, self.path))
        server.credentials.append(self.headers.get("Authorization", ""))
        get = self.command == "GET"
        content = server.files.get(self.path)
        if content is None:
            content = _s3(server.files, self.path) or _gcs(server.files, self.path)
        status = 404 if content is None else 200
        if get and server.status.get(self.path):
            status, content = server.status[self.path].pop(0), b"<html>not the file</html>"
        sent = content = content or b""
        if get and status == 200 and server.short[self.path] > 0:
            server.short[self.path] -= 1
            sent = content[: len(content) // 2]
        if self.path in server.sends_on:
            status = 302
        self.send_response(status)
        self.send_header("Location", server.sends_on.get(self.path, ""))
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", server.kind.get(self.path, "application/octet-stream"))
        self.send_header("Last-Modified", "Wed, 25 Nov 2026 00:00:00 GMT")
        self.end_headers()
        if get and self.path in server.slow:
            server.closing.wait()
        if get:
            self.wfile.write(sent)

    def log_message(self, *args):
        pass


def _s3(files, path):
    """A bucket's list of keys below a prefix: none, so that no key is a folder."""
    asked = parse_qs(urlsplit(path).query)
    if "prefix" in asked and not path.startswith("/storage/"):
        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        return f'<ListBucketResult xmlns="{space}"><IsTruncated>false</IsTruncated></ListBucketResult>'.encode()
    return None


def _gcs(files, path):
    """What the JSON interface of Google Cloud Storage says of a bucket, a list of objects, or an object."""
    where = unquote(urlsplit(path).path)
    download = where.startswith("/download/")
    parts = where.removeprefix("/download").removeprefix("/storage/v1/b/").split("/", 2)
    if where.removeprefix("/download").startswith("/storage/v1/b/"):
        if len(parts) == 1:
            return json.dumps({"name": parts[0]}).encode()
        if len(parts) == 2:
            return json.dumps({"items": []}).encode()
        content = files.get(f"/{parts[0]}/{parts[2]}")
        if content is None or download:
            return content
        crc = base64.b64encode(google_crc32c.Checksum(content).digest()).decode()
        about = {"name": parts[2], "bucket": parts[0], "size": str(len(content)), "crc32c": crc}
        return json.dumps(about | {"updated": "2026-11-25T00:00:00.000Z"}).encode()
    return None


@contextmanager
def serving(files):
    """A server of these files for as long as the context lasts; it is asked without a proxy."""
    server = Server()
    server.files |= files
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("no_proxy", "*")
            yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
