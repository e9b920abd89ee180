"""
Sources: what the column `source` of a sheet may contain, and the local file that it means.

A path, or an address of one of the schemes; after `#` the member that is taken out of the archive (see
`mettle.data.archives`). The rule `download` fetches each address of a storage plugin once, however many rows name it.
"""

import hashlib
import importlib.util
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mettle import files

# Where downloads are kept, relative to the working directory.
DOWNLOADS = Path("resources/downloads")
_WEIGHTS = "model.safetensors"  # of timm's repositories on Hugging Face


@dataclass(frozen=True)
class Scheme:
    """One kind of address.

    Attributes
    ----------
    form : its form, for messages
    pattern : regular expression of what follows the colon
    plugin : storage plugin that fetches it; empty for Hugging Face and installed packages, which need none, and for
        RobustBench, in whose place `mettle.plan.zoo` puts the address of the weights
    secrets : where credentials come from
    """

    form: str
    pattern: str
    plugin: str
    secrets: str


_WEB = r"//[^/\s?]+/\S+"
# Of Hugging Face; what ends as weights do is a file whose repository was forgotten.
_REPOSITORY = r"(?![^/]+\.(?:pth?|tar|ckpt|bin|zip|safetensors)$)[^/@?]+"
_S3 = "SNAKEMAKE_STORAGE_S3_ACCESS_KEY and SNAKEMAKE_STORAGE_S3_SECRET_KEY, or those of the AWS tools"
SCHEMES = {
    "http": Scheme("http://HOST/FILE", _WEB, "http", "the file ~/.netrc"),
    "https": Scheme("https://HOST/FILE", _WEB, "http", "the file ~/.netrc"),
    "zenodo": Scheme(
        "zenodo://record/NUMBER/FILE",
        r"//record/\d+(?:\+\d+)*/[^?]+",
        "zenodo",
        "SNAKEMAKE_STORAGE_ZENODO_ACCESS_TOKEN",
    ),
    "s3": Scheme("s3://BUCKET/KEY", r"//[^/\s?]+/[^?]+", "s3", _S3),
    "gs": Scheme("gs://BUCKET/KEY", r"//[^/\s?]+/[^?]+", "gcs", "GOOGLE_APPLICATION_CREDENTIALS"),
    "package": Scheme("package:NAME/FILE", r"[A-Za-z0-9_]+/[^?]+", "", ""),
    "hf": Scheme(
        "hf://OWNER/REPOSITORY[@REVISION][/FILE]", rf"//[^/@?]+/{_REPOSITORY}(?:@[^/@?]+)?(?:/[^?]+)?", "", "HF_TOKEN"
    ),
    "robustbench": Scheme("robustbench:DATASET/THREAT/NAME", r"[^/?]+/[^/?]+/[^/?]+", "", ""),
}
_PLUGINS = [name for name, scheme in SCHEMES.items() if scheme.plugin]
_OF_DATA = [*_PLUGINS, "package"]
# A name or password before the host, or a key, token or signature in the query.
_SECRET = re.compile(
    r"//[^/]*@|[?&](?:[^=&]*(?:token|secret|passw|signature|credential|auth(?!ors?=)|accesskey)[^=&]*|(?:[^=&]*[-_])?(?:sig|key|apikey))=",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Source:
    """A cell of the column `source`.

    Attributes
    ----------
    address : path, or address with its scheme
    member : what is taken out of the archive; empty for the file itself
    scheme : key of `SCHEMES`; empty for a path
    """

    address: str
    member: str = ""
    scheme: str = ""

    @property
    def remote(self) -> bool:
        """Whether the rule `download` fetches it."""
        return bool(self.scheme and SCHEMES[self.scheme].plugin)

    @property
    def file(self) -> str:
        """Name of a download, with a part of the address's SHA-256, since addresses may differ in their query only."""
        last = re.sub(r"[^A-Za-z0-9.-]+", "_", self.address.partition("?")[0].rpartition("/")[2])
        return f"{hashlib.sha256(self.address.encode()).hexdigest()[:12]}-{last[-80:] or 'file'}"

    @property
    def path(self) -> Path:
        """The local file or folder, whether it exists or not."""
        if self.scheme == "package":
            return _in_package(*self.address.partition(":")[2].split("/", 1))
        return DOWNLOADS / self.file if self.remote else files.locate(self.address)

    @property
    def hub(self) -> tuple[str, str | None, str]:
        """Repository on Hugging Face, its branch, tag or commit, if one is stated, and the file in it."""
        owner, repository, *file = self.address.removeprefix("hf://").split("/", 2)
        name, _, revision = repository.partition("@")
        return f"{owner}/{name}", revision or None, file[0] if file else _WEIGHTS

    @property
    def package(self) -> str:
        """The installed package that holds it; empty for other sources."""
        return self.address.partition(":")[2].split("/")[0] if self.scheme == "package" else ""


def _in_package(name: str, file: str) -> Path:
    """Path of a file in a package, which is not imported; below `site-packages` where it is not installed."""
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0] if places else f"site-packages/{name}") / file


def plugin(address: str) -> str:
    """Storage plugin that fetches an address of one of the schemes."""
    return SCHEMES[address.partition(":")[0]].plugin


def page(address: str) -> str:
    """Page on which a browser downloads what is at an address; empty where that is the address itself.

    Google Drive asks a person before it hands out a large file, or one that many have fetched.
    """
    found = re.fullmatch(r"https://drive\.usercontent\.google\.com/download\?id=([\w-]+)(?:&\S*)?", address)
    return f"https://drive.google.com/file/d/{found[1]}/view" if found else ""


def parse(cell: str, where: str, schemes: Iterable[str] = SCHEMES, column: str = "source") -> Source:
    """The source in a cell of the column `source`, or of another column of this kind.

    Parameters
    ----------
    cell : path or address, perhaps with `#` and a member of an archive
    where : sheet and row, for the messages
    schemes : those that are allowed here
    column : name of the column, for the messages

    Raises
    ------
    ValueError
        If the scheme is unknown, the address is not of its form, or contains credentials, which no message repeats.
    """
    address, mark, member = cell.partition("#")
    scheme, colon, rest = address.partition(":")
    if mark and not member:
        raise ValueError(f"{where}: column {column} names nothing after '#'; '#.' is the whole archive")
    if not colon:
        return Source(address, member)
    if scheme not in (known := list(schemes)):
        raise ValueError(f"{where}: column {column} has the unknown scheme '{scheme}'; there are {', '.join(known)}")
    if _SECRET.search(rest):
        raise ValueError(
            f"{where}: column {column} holds a password, token or signature; sheets are read by all and end in "
            f"results: credentials for {scheme} belong into {SCHEMES[scheme].secrets}"
        )
    if not re.fullmatch(SCHEMES[scheme].pattern, rest):
        raise ValueError(f"{where}: column {column} is '{address}', not of the form {SCHEMES[scheme].form}")
    return Source(address, member, scheme)


def parse_all(datasets: Mapping[str, Any], models: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Downloads of the rule `download`, by name of the file: address, and what rows state about it.

    That is `mirror`, a second address of the same file, and `sha256`, both may be empty; and `where`, the first row
    that names the address.

    Parameters
    ----------
    datasets, models : rows by sheet and name, as messages have them

    Raises
    ------
    ValueError
        If a source or mirror is wrong, or two rows state different ones, or different SHA-256, of one address.
    """
    found: dict[str, dict[str, str]] = {}
    parsed = [(where, row, parse(row["source"], where, _OF_DATA)) for where, row in datasets.items() if row["source"]]
    parsed += [(where, row, parse(row["source"], where)) for where, row in models.items() if row["source"] != "train"]
    inverted = {where: row["inverted"] for where, row in models.items() if row.get("inverted")}
    parsed += [(where, {}, parse(cell, where, _PLUGINS, "inverted")) for where, cell in inverted.items()]
    for where, row, source in parsed:
        stated = {"mirror": _mirror(row, source, where), "sha256": row.get("sha256", "")}
        if source.remote:
            first = found.setdefault(source.file, {"url": source.address, "where": where} | dict.fromkeys(stated, ""))
            for key, value in stated.items():
                if value and first[key] not in ("", value):
                    of = {"mirror": "mirror", "sha256": "SHA-256"}[key]
                    raise ValueError(f"{where}: states another {of} of {source.address} than {first['where']}")
                first[key] = first[key] or value
    return found


def _mirror(row: Mapping[str, Any], source: Source, where: str) -> str:
    """The second address of a row's source; empty if it has none."""
    if not (cell := row.get("mirror", "")):
        return ""
    if not source.remote:
        raise ValueError(
            f"{where}: column mirror is a second address for the rule download, which does not fetch the source "
            f"'{row['source']}': leave mirror empty"
        )
    mirror = parse(cell, where, _PLUGINS, "mirror")
    if not mirror.remote or mirror.member:
        raise ValueError(f"{where}: column mirror is '{cell}', not the address of a file; # is for source only")
    return cell
