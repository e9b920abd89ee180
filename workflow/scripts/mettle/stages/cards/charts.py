"""Small charts of a card, in HTML and SVG without scripts."""

from collections.abc import Callable, Mapping, Sequence
from html import escape

from mettle.units import eps_text

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 560, 260, 46, 34  # of a curve, in pixels of its own
_COLOURS = ("#1b6ca8", "#c1553b", "#4d8b31", "#7a4fa3", "#8a6d1d", "#3d7f86")


def interval(value: float, lo: float | None, hi: float | None, published: float | None = None) -> str:
    """A value in [0, 1] on a line: a point, its interval, and a diamond for the published value."""
    parts = []
    if lo is not None and hi is not None:
        parts.append(f'<i class="range" style="left:{lo:.2%};width:{max(hi - lo, 0):.2%}"></i>')
    parts.append(f'<i class="point" style="left:{value:.2%}"></i>')
    if published is not None:
        parts.append(f'<i class="known" style="left:{published:.2%}" title="published: {published:.4g}"></i>')
    return f'<span class="line" aria-hidden="true">{"".join(parts)}</span>'


def bar(value: float, largest: float = 1.0) -> str:
    """A value as a bar from 0 to the largest one."""
    share = min(max(value / largest, 0), 1) if largest else 0
    return f'<span class="line" aria-hidden="true"><i class="bar" style="width:{share:.2%}"></i></span>'


def heat(value: float | None, low: float, high: float) -> str:
    """A number on a colour between the lowest, white, and the highest, blue."""
    if value is None:
        return ""
    share = 0.0 if high <= low else min(max((value - low) / (high - low), 0), 1)
    return f'<span class="heat" style="background:rgba(27,108,168,{0.75 * share:.3f})">{value:.3f}</span>'


def curve(lines: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str) -> str:
    """Lines of points (eps, fraction), each with its name at its right end.

    Parameters
    ----------
    lines : points by name, sorted
    across, up : words for the axes
    """
    most = max(x for points in lines.values() for x, _ in points) or 1
    wide, high = _WIDTH - _LEFT - 120, _HEIGHT - _BOTTOM - 12

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + wide * x / most, 12 + high * (1 - y)

    parts = [_grid(place, wide)]
    ticks = sorted({x for points in lines.values() for x, _ in points})
    for x in ticks if len(ticks) <= 6 else ticks[:: -(-len(ticks) // 6)]:
        left, _ = place(x, 0)
        parts.append(f'<text x="{left:.1f}" y="{_HEIGHT - 18}" text-anchor="middle">{escape(eps_text(x))}</text>')
    for (name, points), colour in zip(lines.items(), _COLOURS * len(lines), strict=False):
        spots = [place(*point) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{colour}"/>' for x, y in spots]
        x, y = spots[-1]
        parts.append(f'<text x="{x + 8:.1f}" y="{y + 4:.1f}" fill="{colour}">{escape(name)}</text>')
    parts.append(f'<text x="{_LEFT + wide / 2}" y="{_HEIGHT - 2}" text-anchor="middle">{escape(across)}</text>')
    words = escape(f"{up} by {across}: {', '.join(lines)}")
    return f'<svg class="curve" role="img" aria-label="{words}" viewBox="0 0 {_WIDTH} {_HEIGHT}">{"".join(parts)}</svg>'


def _grid(place: Callable[[float, float], tuple[float, float]], wide: float) -> str:
    lines = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        left, y = place(0, share)
        lines.append(f'<line x1="{left}" x2="{left + wide}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        lines.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{share:g}</text>')
    return "".join(lines)
