"""Lists of names in text files: classes or images that a data set is restricted to, or class names in label order."""

from pathlib import Path

from mettle import files, text


def read_list(path: str | Path) -> list[str]:
    """The names of a list, one per line, in its order; # starts a comment.

    Raises
    ------
    ValueError
        If the file is missing, has no names, or has one twice.
    """
    if not files.locate(path).is_file():
        raise ValueError(f"the list {path} does not exist")
    names = [name for line in text.read(path).split("\n") if (name := line.partition("#")[0].strip(text.BLANK))]
    if not names:
        raise ValueError(f"the list {path} holds no names")
    if len(set(names)) < len(names):
        twice = next(name for position, name in enumerate(names) if name in names[:position])
        raise ValueError(f"the list {path} holds '{twice}' twice")
    return names
