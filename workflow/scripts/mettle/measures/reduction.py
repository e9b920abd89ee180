"""
Bars of dimension 1 of a Vietoris-Rips filtration, and of the image of one filtration in another on the same points.

`pairs` computes the cohomology of one filtration K with implicit columns, as in Ripser (Bauer 2021,
doi:10.1007/s41468-021-00071-5).

`image_bars` is for a filtration L inside K (Cohen-Steiner et al. 2009, doi:10.1137/1.9781611973068.110; Bauer & Schmahl
2022, arXiv:2201.04170): in the boundary matrix with triangles ordered by K and edges by L, the triangle t whose reduced
column has e as its last edge gives the bar from L(e) to K(t), if that is not empty. Which columns reduce to zero does
not depend on the order of the rows, so only the columns of the triangles that `pairs` found for K are needed.

A triangle is one integer, (rank of its longest edge in K) * n + (its other vertex). These orders are total, so ties
cannot make the pairing inconsistent, and the bars of positive length do not depend on how ties are broken.
"""

from typing import NamedTuple

import numpy as np

from mettle.compiled import compiled

MOST = 8000  # points, so that n^5 / 4, the bound of a heap entry, fits a 64-bit integer


class Graph(NamedTuple):
    """
    Edges between n points, from the shortest to the longest that matters.

    Attributes
    ----------
    keys : (n, n) int array
        Rank of each edge times n; m * n where there is no edge.
    ends : (m, 2) int array
        Points of each edge, by rank.
    lengths : (m,) array
        In ascending order.
    """

    keys: np.ndarray
    ends: np.ndarray
    lengths: np.ndarray


class Reduced(NamedTuple):
    """Reduced columns without their pivots: `entries[start[edge]:stop[edge]]`, where `start` is not -1."""

    start: np.ndarray
    stop: np.ndarray
    entries: list[int]


class Pivots(NamedTuple):
    """Pivots of the edges' columns, and chains of columns whose pivots have the same longest edge; -1 means none."""

    triangle: np.ndarray
    first: np.ndarray  # by longest edge
    after: np.ndarray  # by column


@compiled
def pairs(graph: Graph) -> np.ndarray:
    """
    The triangle that ends the cycle of each edge.

    A column holds the triangles around an edge; columns are reduced from the longest edge to the shortest. The pivot
    of a column is its first triangle, and a triangle is the pivot of at most one column.

    Returns
    -------
    (m,) int array
        -1 for edges of a minimum spanning tree, which close no cycle.
    """
    n, m = len(graph.keys), len(graph.ends)
    tree = _tree_edges(graph.ends, n)
    pivots = Pivots(np.full(m, -1), np.full(m, -1), np.full(m, -1))
    (heap, times), reduced = _no_sum(m), _none_reduced(m)
    for edge in range(m - 1, -1, -1):
        if tree[edge]:
            continue
        triangle = _next(graph, edge, -1)
        if _owner(pivots, triangle, n) >= 0:
            triangle = _reduce(graph, pivots, reduced, heap, times, edge)
            _store(heap, times, reduced, edge)
        pivots.triangle[edge] = triangle
        pivots.after[edge], pivots.first[triangle // n] = pivots.first[triangle // n], edge
    return pivots.triangle


@compiled
def _reduce(graph: Graph, pivots: Pivots, reduced: Reduced, heap: np.ndarray, times: np.ndarray, edge: int) -> int:
    """
    Add earlier columns to the column of `edge` until its first triangle is the pivot of no other; return that triangle.

    The key of an edge is its next triangle. Once all edges with the first triangle have been counted, they move on, so
    an added column only contributes the triangles after its pivot.
    """
    _enter(graph, heap, times, edge, -1)
    while True:
        triangle = heap[1] // len(graph.ends)
        if not _advance(graph, heap, times):
            continue
        owner = _owner(pivots, triangle, len(graph.keys))
        if owner < 0:
            return triangle
        if reduced.start[owner] < 0:
            _enter(graph, heap, times, owner, triangle)
        else:
            _add(heap, times, reduced, owner)


@compiled
def _advance(graph: Graph, heap: np.ndarray, times: np.ndarray) -> bool:
    """Move every edge at the first triangle to its next one; return whether the first triangle was in the sum."""
    m = len(graph.ends)
    triangle, present = heap[1] // m, False
    while heap[0] > 0 and heap[1] < (triangle + 1) * m:
        edge = _pop(heap) % m
        once, times[edge] = times[edge] == 1, 0
        if once:
            present = not present
            _enter(graph, heap, times, edge, triangle)
    return present


@compiled
def _enter(graph: Graph, heap: np.ndarray, times: np.ndarray, edge: int, bound: int) -> None:
    """Add the triangles of the column of `edge` after the triangle `bound`."""
    triangle = _next(graph, edge, bound)
    if triangle < len(graph.ends) * len(graph.keys):
        _toggle(heap, times, triangle * len(graph.ends) + edge, edge)


@compiled
def _next(graph: Graph, edge: int, bound: int) -> int:
    """The first triangle after `bound` that has this edge, or m * n."""
    i, j = graph.ends[edge]
    near_i, near_j, own = graph.keys[i], graph.keys[j], graph.keys[i, j]
    none = len(graph.ends) * len(graph.keys)
    found = none
    for v in range(len(graph.keys)):  # without branches, so that it compiles to vector instructions
        triangle = max(own + v, max(near_i[v] + j, near_j[v] + i))
        found = min(found, triangle if triangle > bound else none)
    return found


@compiled
def _owner(pivots: Pivots, triangle: int, n: int) -> int:
    """The column that has this pivot, or -1."""
    owner = pivots.first[triangle // n]
    while owner >= 0 and pivots.triangle[owner] != triangle:
        owner = pivots.after[owner]
    return owner


@compiled
def image_bars(graph: Graph, triangles: np.ndarray, births: np.ndarray, order: np.ndarray) -> float:
    """
    Total length of the H1 bars of the image of one filtration in that of `graph`.

    Parameters
    ----------
    graph : Graph
    triangles : int array
        Triangles whose boundaries do not reduce to zero, in ascending order.
    births : (m,) array
        Length of each edge in the filtration in which classes are born.
    order : (m,) int array
        Edges in order of birth.
    """
    n, m = len(graph.keys), len(graph.ends)
    turn = np.empty(m, np.int64)
    turn[order] = np.arange(m - 1, -1, -1)  # the latest edge comes first
    (heap, times), reduced = _no_sum(m), _none_reduced(m)
    total = 0.0
    for triangle in triangles:
        edge, point = triangle // n, triangle % n
        i, j = graph.ends[edge]
        for side in (edge, graph.keys[i, point] // n, graph.keys[j, point] // n):
            _toggle(heap, times, turn[side], turn[side])
        first = _take(heap, times)
        while reduced.start[first] >= 0:
            _add(heap, times, reduced, first)
            first = _take(heap, times)
        _store(heap, times, reduced, first)
        total += max(graph.lengths[edge] - births[order[m - 1 - first]], 0.0)
    return total


@compiled
def _take(heap: np.ndarray, times: np.ndarray) -> int:
    """Remove the first edge from a sum whose entries are edges, and return it."""
    while True:
        edge = _pop(heap)
        once, times[edge] = times[edge] == 1, 0
        if once:
            return edge


@compiled
def _no_sum(m: int) -> tuple[np.ndarray, np.ndarray]:
    """
    The empty sum of columns with m edges, modulo 2.

    A heap of entries key * m + edge with its size as first element, where the key orders the edges of the sum; and how
    often each edge in the heap was added: once, or twice, which cancels.
    """
    return np.zeros(m + 1, np.int64), np.zeros(m, np.int8)


@compiled
def _none_reduced(m: int) -> Reduced:
    """Storage for m reduced columns, none of which exists yet."""
    return Reduced(np.full(m, -1), np.full(m, -1), [0])


@compiled
def _toggle(heap: np.ndarray, times: np.ndarray, entry: int, edge: int) -> None:
    """Add an edge to a sum."""
    if times[edge] == 0:
        _push(heap, entry)
    times[edge] = 2 if times[edge] == 1 else 1


@compiled
def _add(heap: np.ndarray, times: np.ndarray, reduced: Reduced, edge: int) -> None:
    """Add a reduced column without its pivot to a sum."""
    entries = reduced.entries
    for place in range(reduced.start[edge], reduced.stop[edge]):
        _toggle(heap, times, entries[place], entries[place] % len(times))


@compiled
def _store(heap: np.ndarray, times: np.ndarray, reduced: Reduced, edge: int) -> None:
    """Move what remains of a sum to the reduced columns."""
    reduced.start[edge] = len(reduced.entries)
    for entry in heap[1 : heap[0] + 1]:
        if times[entry % len(times)] == 1:
            reduced.entries.append(entry)
        times[entry % len(times)] = 0
    reduced.stop[edge] = len(reduced.entries)
    heap[0] = 0


@compiled
def _tree_edges(ends: np.ndarray, n: int) -> np.ndarray:
    """Which edges join two components, taken in their order (Kruskal's algorithm)."""
    parent, tree = np.arange(n), np.zeros(len(ends), np.bool_)
    for edge in range(len(ends)):
        a, b = _root(parent, ends[edge, 0]), _root(parent, ends[edge, 1])
        parent[a] = b
        tree[edge] = a != b
    return tree


@compiled
def _root(parent: np.ndarray, point: int) -> int:
    """Representative of the component of a point, with path halving."""
    while parent[point] != point:
        parent[point] = parent[parent[point]]
        point = parent[point]
    return point


@compiled
def _push(heap: np.ndarray, entry: int) -> None:
    """Push an entry onto a binary heap, whose first element is its size."""
    heap[0] += 1
    place = heap[0]
    while place > 1 and heap[place >> 1] > entry:
        heap[place] = heap[place >> 1]
        place >>= 1
    heap[place] = entry


@compiled
def _pop(heap: np.ndarray) -> int:
    """Pop the smallest entry."""
    size = heap[0] - 1
    least, entry = heap[1], heap[size + 1]
    heap[0] = size
    place = 1
    while 2 * place <= size:
        child = 2 * place
        if child < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= entry:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = entry
    return least
