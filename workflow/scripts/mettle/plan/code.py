"""The user's own code, Python files that rows and `plugins` name: read here, run in jobs by `mettle.models.own`."""

import ast
import re
from collections.abc import Iterable, Iterator

from mettle import schema, text
from mettle.files import in_file
from mettle.plan import names


def check(arch: str, where: str) -> None:
    """Raise ValueError unless the file of an architecture is there, is Python, and has something of its name.

    Parameters
    ----------
    arch : as `net.py:MyNet`
    where : sheet and row, for the message
    """
    path, name = in_file(arch)
    _, tree = _read(path, f"{where}, column arch")
    if name not in _bound(tree):
        own = [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
        raise ValueError(f"{where}: {path} has no '{name}'; it has {', '.join(own) or 'neither class nor function'}")


class Plugins:
    """Files that register architectures with timm or mettle, and training losses.

    Parameters
    ----------
    paths : `plugins` of the configuration

    Raises
    ------
    ValueError
        If one is not there or is not Python, or registers a name that is taken.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._words: dict[str, set[str]] = {}
        for path in paths:
            source, tree = _read(path, "configuration: plugins")
            if taken := sorted(_taken(tree)):
                raise ValueError(f"{path}: registers '{taken[0]}', which there is already: choose another name")
            self._words[path] = {*re.findall(r"\w+", source)}

    def naming(self, name: str) -> list[str]:
        """Files that hold a name as a word, which a file that registers it does."""
        return [path for path, words in self._words.items() if name in words]


def _taken(tree: ast.Module) -> set[str]:
    """Names that a file registers and that are known without it, as far as can be read off."""
    architectures = {*_decorated(tree, "register_model"), *_assigned(tree, "ARCHITECTURES")}
    losses = {*_assigned(tree, "LOSSES")}
    taken = architectures & names.known_architectures() if architectures else set()
    return taken | losses.intersection(schema.names("recipe.loss"))


def _decorated(tree: ast.Module, decorator: str) -> Iterator[str]:
    """Names of the functions of a file with a decorator, by whatever module it is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield from [node.name] * (decorator in map(_last, node.decorator_list))


def _assigned(tree: ast.Module, registry: str) -> Iterator[str]:
    """Keys to which a file assigns entries of a registry one by one, by whatever module it is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and isinstance(node.slice, ast.Constant):
            yield from [node.slice.value] * (_last(node.value) == registry)


def _last(node: ast.expr) -> str:
    """Name of a variable, or of an attribute behind its module; nothing for any other expression."""
    return getattr(node, "attr", getattr(node, "id", ""))


def _read(path: str, where: str) -> tuple[str, ast.Module]:
    """Text of a file of Python, and its syntax tree."""
    try:
        source = text.read(path)
        return source, ast.parse(source)
    except OSError as error:
        raise ValueError(f"{where}: {path} does not exist: put the file there, or correct the path") from error
    except SyntaxError as error:
        raise ValueError(f"{where}: {path}, line {error.lineno}: is not Python: {error.msg}") from error


def _bound(tree: ast.Module) -> set[str]:
    """Names of all classes, functions, variables and imports of a file, whatever the block that they are in."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
    return found
