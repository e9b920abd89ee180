"""Published checkpoints as files: found or downloaded, and compared with what a row says."""

from dataclasses import dataclass
from pathlib import Path

from mettle.digests import sha256_of, verify
from mettle.flow import Job
from mettle.plan.sources import Source, parse
from mettle.typed import ModelRow


@dataclass(frozen=True)
class Fetched:
    """The file of a checkpoint.

    Attributes
    ----------
    path : local file
    member : what is taken out of it, as behind `#` in the row's `source`; empty for the file itself
    sha256 : of the file
    """

    path: Path
    member: str
    sha256: str


def fetched(row: ModelRow, job: Job) -> Fetched:
    """The file at a row's `source`, which a storage plugin has downloaded already unless it is on Hugging Face.

    Raises
    ------
    ValueError
        If it does not have the row's SHA-256.
    FileNotFoundError
        If it does not exist.
    """
    origin = parse(row["source"], f"row '{row['model']}' of the models")
    path = _local(origin, row["model"], job)
    verify(path, row.get("sha256"))
    digest = row.get("sha256") or sha256_of(path)
    if not row.get("sha256"):
        where = f"column `sha256` of row '{row['model']}'"
        job.say(f"{path} has SHA-256 {digest}: put it into {where} to have it checked, or run `make checksums`")
    return Fetched(path, origin.member, digest)


def _local(source: Source, model: str, job: Job) -> Path:
    """The file of a source; one on Hugging Face, which has no plugin, comes into the cache of its own client."""
    if source.scheme == "hf":
        from huggingface_hub import hf_hub_download

        repository, revision, name = source.hub
        job.say(f"downloads {name} from {repository}" + (f" at {revision}" if revision else ""))
        return Path(hf_hub_download(repository, name, revision=revision))
    if not source.path.exists():
        raise FileNotFoundError(f"{source.path} does not exist: fill column `source` of row '{model}' of the models")
    return source.path
