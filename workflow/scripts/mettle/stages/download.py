"""
Download stage: a remote source as a local file, complete and with the SHA-256 of its row, or not at all.

Snakemake's storage plugins do the transfer. They are called here, in a job, instead of a `storage()` input of the rule:
Snakemake looks up such an input whenever it builds its graph, ends the run at the first broken transfer, without retry
and in spite of `--keep-going`, and the http plugin stores addresses that differ only in their query in one file.
"""

import asyncio
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from importlib import import_module
from logging import getLogger
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from mettle.digests import sha256_of
from mettle.files import only
from mettle.flow import Job
from mettle.plan.sources import SCHEMES, page

_TIMEOUT = 60  # seconds without an answer, or without another byte


def download(source: dict[str, str], target: str | Path, job: Job) -> None:
    """Fetch a file, under a temporary name until it is complete and verified.

    Parameters
    ----------
    source : `url`; `mirror`, a second address, tried if the first does not give the file, or empty; `sha256`
        (empty: not checked, but logged); and `where`, the row that names them
    target : file to write
    job : log

    Raises
    ------
    ConnectionError
        If the file cannot be downloaded: no answer, no access, a truncated file, or a web page in its place.
    ValueError
        If its SHA-256 is not that of the row, or the plugin lacks a setting.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    refused: list[str] = []
    for url in filter(None, (source["url"], source["mirror"])):
        try:
            _from(url, source, target, job)
            return
        except (ConnectionError, ValueError) as error:
            job.say(str(error))
            refused.append(str(error))
            last = error
    # `from None`: messages of the libraries may have signed addresses, and the log keeps tracebacks.
    raise type(last)(f"{source['where']}: {'; '.join(refused)}") from None


def _from(url: str, source: dict[str, str], target: Path, job: Job) -> None:
    """Fetch the file from one address."""
    began = time.monotonic()
    job.say(f"downloads {url}")
    partial = target.with_name(f".{target.name}.part")  # a fixed name, so that what a killed job left is overwritten
    try:
        _retrieve(url, partial, target)
        _check(url, source, partial, job)
        job.say(f"{partial.stat().st_size} bytes in {time.monotonic() - began:.0f} s")
        partial.replace(target)
    finally:
        shutil.rmtree(partial) if partial.is_dir() else partial.unlink(missing_ok=True)


def refuse(sentence: str) -> NoReturn:
    """Raise FileNotFoundError with the sentence for a missing local source."""
    raise FileNotFoundError(sentence)


def _retrieve(url: str, partial: Path, target: Path) -> None:
    """Let the plugin of the scheme write a file."""
    scheme = SCHEMES[url.partition(":")[0]]
    plugin = import_module(f"snakemake_storage_plugin_{scheme.plugin}")
    settings = _settings(plugin, scheme.plugin)
    try:
        provider = plugin.StorageProvider(partial.parent, getLogger(__name__), settings=settings)
        kind = _checked(plugin) if scheme.plugin == "http" else plugin.StorageObject
        address = _on_zenodo(url, provider, kind) if scheme.plugin == "zenodo" else url
        found = kind(address, keep_local=True, retrieve=True, provider=provider)
        found.set_local_path(partial)
        asyncio.run(_fetch(found, scheme.plugin))
        if not partial.is_file():
            raise IsADirectoryError("it is a folder, and only a file can be a source")
    except Exception as error:  # every plugin raises its own kinds of errors
        # `from None`: messages of the libraries may have signed addresses, and the log keeps tracebacks.
        what = f"{url} cannot be downloaded ({_reason(error)})"
        browser = f", from {there} in a browser" if (there := page(url)) else ""
        raise ConnectionError(f"{what}: try again, or put the file at {target} by hand{browser}") from None


def _on_zenodo(address: str, provider: Any, kind: type) -> str:
    """Address of the one file of Zenodo records with the name in an address, or matching it as a shell pattern."""
    numbers, _, wanted = address.removeprefix("zenodo://record/").partition("/")
    there = []
    for number in numbers.split("+"):
        record = kind(f"zenodo://record/{number}/{wanted}", keep_local=True, retrieve=True, provider=provider)
        there += [f"{number}/{name}" for name in record.helper.get_files()]
    one = f"{'*' if '+' in numbers else numbers}/{wanted}"
    return f"zenodo://record/{only(one, there, 'what Zenodo has of record ' + numbers.replace('+', ', '))}"


async def _fetch(found: Any, plugin: str) -> None:
    # A web server is not asked first: some do not say whether a file exists, and the answer itself is checked.
    if plugin != "http" and not await found.managed_exists():
        raise FileNotFoundError("there is no such file")
    await found.managed_retrieve()


def _settings(plugin: ModuleType, name: str) -> Any:
    """The plugin's settings from the environment variables that Snakemake reads them from.

    Raises
    ------
    ValueError
        If one that the plugin needs is missing.
    """
    found, missing = {}, []
    for field in fields(plugin.StorageProviderSettings):
        variable = f"SNAKEMAKE_STORAGE_{name}_{field.name}".upper()
        if field.metadata.get("env_var") and variable in os.environ:
            found[field.name] = os.environ[variable]
        elif field.metadata.get("required"):
            missing.append(variable)
    if missing:
        raise ValueError(f"the storage plugin {name} needs the environment variable {', '.join(missing)}")
    return plugin.StorageProviderSettings(**found)


def _checked(plugin: ModuleType) -> type:
    """The http plugin's object, which by itself neither checks the status of an answer nor limits its time."""
    import requests

    class Checked(plugin.StorageObject):
        @contextmanager
        def httpr(self, verb: str = "GET", stream: bool = False) -> Iterator[requests.Response]:
            """The answer to a request, if it is a file."""
            with requests.request(verb, self.query, stream=stream, timeout=_TIMEOUT, allow_redirects=True) as answer:
                if verb == "GET":
                    answer.raise_for_status()
                    if answer.headers.get("Content-Type", "").startswith("text/html"):
                        raise requests.RequestException("a web page came instead of a file")
                yield answer

    return Checked


def _reason(error: BaseException) -> str:
    """The innermost cause in one line, without the queries of addresses, which may be signed."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r"(\w+://[^\s?]+)\?[^\s)]*", r"\1", text)


def _check(url: str, source: dict[str, str], path: Path, job: Job) -> None:
    """Compare with the row's SHA-256, or log that of the file."""
    found, stated = sha256_of(path), source["sha256"]
    if not stated:
        where = f"column `sha256` of {source['where']}"
        job.say(f"SHA-256 {found}: put it into {where} to have it checked, or run `make checksums`")
    elif found != stated:
        raise ValueError(f"{url} has SHA-256 {found}, the row says {stated}: try again, or correct the row")
