"""Parts of a hand-written page that a command writes: what is between `<!-- made: NAME -->` and `<!-- end -->`."""

import re
from collections.abc import Callable, Iterable, Sequence

_BLOCK = re.compile(r"(<!-- made: ([\w.]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def names(page: str) -> list[str]:
    """Names of the parts, in their order."""
    return [name for _, name, _ in _BLOCK.findall(page)]


def fill(page: str, part: Callable[[str], str | None]) -> str:
    """The page with its parts replaced.

    Parameters
    ----------
    page : Markdown
    part : the text of a part, by its name; None to keep what is there
    """

    def filled(found: re.Match) -> str:
        text = part(found[2])
        return found[0] if text is None else f"{found[1]}{text.strip()}\n{found[3]}"

    return _BLOCK.sub(filled, page)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def picture(name: str, width: int, shows: str) -> str:
    """A picture of the folder of pages, `{name}.png`, and an empty line."""
    return f'<img src="{name}.png" width="{width}" alt="{shows}">\n\n'


def pictures(page: str) -> list[str]:
    """Names of the figures that a page shows from its own folder."""
    return re.findall(r'src="(fig\d+\.png)"', page)
