"""Parts of a hand-written page that a command writes: what is between `<!-- made: NAME -->` and `<!-- end -->`."""

import re
from collections.abc import Callable, Iterable, Sequence

_BLOCK = re.compile(r"(<!-- made: ([\w.]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def names(page: str) -> list[str]:
    """Names of the parts, in their order."""
    return [name for _, name, _ in _BLOCK.findall(page)]


def fill(page: str, part: Callable[[str], str]) -> str:
    """The page with its parts replaced.

    Parameters
    ----------
    page : Markdown
    part : the text of a part, by its name
    """
    return _BLOCK.sub(lambda found: f"{found[1]}{part(found[2]).strip()}\n{found[3]}", page)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def pictures(page: str) -> list[str]:
    """Names of the figures that a page shows from its own folder."""
    return re.findall(r'src="(fig\d+\.png)"', page)
