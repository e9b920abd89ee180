"""
Summed bars of RTD without its barcode on 2n + 1 points, by the exact sequence of a cone.

RTD from a cloud A to a cloud B sums the lengths of the H1 bars of the cone of L_r -> K_r, where L and K are the
Vietoris-Rips filtrations of the distances of A and of the elementwise least of both (Barannikov et al. 2022,
arXiv:2201.00058). That sum is the integral over r of dim H1(cone), and exactness of

    H1(L_r) -> H1(K_r) -> H1(cone) -> H0(L_r) -> H0(K_r) -> 0

turns it into three integrals over n points:

    RTD = tree(A) - tree(least) + bars(K) - bars(L -> K)

tree(.) is the weight of a minimum spanning tree (the integral of dim H0 - 1), bars(K) the summed H1 bars of K, and
bars(L -> K) those of the image of H1(L) in H1(K). Images come from one reduction with the births of L and the deaths
of K (Cohen-Steiner et al. 2009, doi:10.1137/1.9781611973068.110; in cohomology Bauer & Schmahl 2022,
arXiv:2201.04170): columns are edges from the latest to the earliest in L, the pivot is the earliest triangle in K,
and edge e with triangle t is a bar from L(e) to K(t) if that is not empty. With L = K these are the bars of K. Both
directions share tree(least) and bars(K).

A triangle is one integer, (rank of its longest edge in K) * n + (its other vertex), so that every order is total and
ties cannot break the pairing; whatever order ties take, bars of positive length stay the same.
"""

import heapq
from typing import NamedTuple

import numpy as np
from numba import njit


class Graph(NamedTuple):
    """
    Edges of n points, from the shortest to the longest that matters.

    Attributes
    ----------
    keys : (n, n) int array
        Rank of each edge times n, and m * n where there is none.
    ends : (m, 2) int array
        Points of each edge, by rank.
    lengths : (m,) array
        In rising order.
    """

    keys: np.ndarray
    ends: np.ndarray
    lengths: np.ndarray


class Pivots(NamedTuple):
    """Which column has a triangle as its pivot: chains of columns, one per longest edge of the triangle; -1 ends."""

    first: np.ndarray  # by edge
    after: np.ndarray  # by column
    pivot: np.ndarray  # by column


class Reduced(NamedTuple):
    """Columns that took more than one edge: `entries[start[column]:stop[column]]`; -1 where the column is its edge."""

    start: np.ndarray
    stop: np.ndarray
    entries: list[tuple[int, int]]


class Sum(NamedTuple):
    """
    Sum of columns modulo 2, as (next triangle, edge) of its edges.

    Edges that are `inside` the heap but not `odd` were added twice and count no more.
    """

    heap: list[tuple[int, int]]
    inside: np.ndarray
    odd: np.ndarray


def divergence(a: np.ndarray, b: np.ndarray) -> float:
    """RTD from a to b alone, see `divergences`."""
    graph, shared = _shared(a, b)
    return _direction(graph, a, spanning_tree(a) + shared)


def divergences(a: np.ndarray, b: np.ndarray, tree_a: float, tree_b: float) -> tuple[float, float]:
    """
    RTD from a to b and from b to a.

    Parameters
    ----------
    a, b : (n, n) float64 arrays
        Distances of two clouds with matching points.
    tree_a, tree_b : float
        Their `spanning_tree`.

    Returns
    -------
    (float, float)
        At least 0.

    Raises
    ------
    ValueError
        If the arrays differ in shape, or one is not symmetric or not finite.
    """
    graph, shared = _shared(a, b)
    return _direction(graph, a, tree_a + shared), _direction(graph, b, tree_b + shared)


def _shared(a: np.ndarray, b: np.ndarray) -> tuple[Graph, float]:
    """Edges of K, and what of RTD depends on K alone."""
    if a.shape != b.shape or not all(np.isfinite(x).all() and np.array_equal(x, x.T) for x in (a, b)):
        raise ValueError("RTD needs two symmetric (n, n) arrays of finite distances")
    least = np.minimum(a, b)
    graph = _graph(least)
    return graph, _bars(graph, graph.lengths, np.arange(len(graph.ends))) - spanning_tree(least)


def _direction(graph: Graph, distances: np.ndarray, rest: float) -> float:
    """RTD from the cloud with these distances; `rest` is all of it but the bars of the image."""
    births = distances[graph.ends[:, 0], graph.ends[:, 1]]
    return max(rest - _bars(graph, births, _order(births, graph.lengths[-1])), 0.0)


def _graph(distances: np.ndarray) -> Graph:
    """
    Edges that matter, of an (n, n) array of distances.

    From the radius at which one point reaches all others the complex is a cone: no class is alive.
    """
    n = len(distances)
    rows, columns = np.triu_indices(n, k=1)
    lengths = distances[rows, columns]
    near = np.flatnonzero(lengths <= distances.max(axis=1).min())
    near = near[np.argsort(lengths[near], kind="stable")]
    ends = np.stack([rows[near], columns[near]], axis=1)
    keys = np.full((n, n), len(near) * n)
    keys[ends[:, 0], ends[:, 1]] = keys[ends[:, 1], ends[:, 0]] = np.arange(len(near)) * n
    return Graph(keys, ends, lengths[near])


def _order(births: np.ndarray, last: float) -> np.ndarray:
    """Edges by birth; those born after the `last` death have no bar, so they may stay by rank, which is quickest."""
    early = np.flatnonzero(births <= last)
    return np.concatenate([early[np.argsort(births[early], kind="stable")], np.flatnonzero(births > last)])


@njit(cache=True, nogil=True)
def spanning_tree(distances: np.ndarray) -> float:
    """Weight of a minimum spanning tree of an (n, n) array of distances, in n^2 steps (Prim's algorithm)."""
    near = distances[0].copy()
    near[0] = np.inf
    outside = np.ones(len(near), np.bool_)
    outside[0] = False
    total = 0.0
    for _ in range(len(near) - 1):
        best = np.argmin(near)
        total += near[best]
        outside[best] = False
        near[best] = np.inf
        for point in range(len(near)):
            if outside[point]:
                near[point] = min(near[point], distances[best, point])
    return total


@njit(cache=True, nogil=True)
def _bars(graph: Graph, births: np.ndarray, order: np.ndarray) -> float:
    """
    Summed lengths of the H1 bars of the image of one filtration in that of `graph`.

    Parameters
    ----------
    graph : Graph
    births : (m,) array
        Length of each edge in the filtration in which classes are born; no less than in `graph`.
    order : (m,) int array
        Edges by birth.
    """
    m, n = len(graph.ends), len(graph.keys)
    tree = _tree_edges(graph.ends, order, n)
    pivots = Pivots(np.full(m, -1), np.full(m, -1), np.full(m, -1))
    reduced = Reduced(np.full(m, -1), np.full(m, -1), [(0, 0)])
    column = Sum([(0, 0)], np.zeros(m, np.bool_), np.zeros(m, np.bool_))
    column.heap.clear()
    total = 0.0
    for edge in order[::-1]:
        if tree[edge]:  # the column of an edge that closes no cycle would reduce to zero
            continue
        triangle = _next(graph, edge, -1)
        if _owner(pivots, triangle, n) >= 0:
            triangle = _reduce(graph, pivots, reduced, column, edge)
            _store(reduced, column, edge)
        _own(pivots, triangle, edge, n)
        total += max(graph.lengths[triangle // n] - births[edge], 0.0)
    return total


@njit(cache=True, nogil=True)
def _reduce(graph: Graph, pivots: Pivots, reduced: Reduced, column: Sum, edge: int) -> int:
    """
    Sum up the column of `edge` and earlier ones until the first triangle is the pivot of none; return it.

    An edge moves on to its next triangle once all edges at the first one have been counted. So an added column needs
    only what lies behind its pivot.
    """
    _toggle(graph, column, _next(graph, edge, -1), edge)
    while True:
        triangle = column.heap[0][0]
        if not _advance(graph, column):
            continue
        owner = _owner(pivots, triangle, len(graph.keys))
        if owner < 0:
            return triangle
        if reduced.start[owner] < 0:
            _toggle(graph, column, _next(graph, owner, triangle), owner)
        for place in range(reduced.start[owner], reduced.stop[owner]):
            triangle, other = reduced.entries[place]
            _toggle(graph, column, triangle, other)


@njit(cache=True, nogil=True)
def _advance(graph: Graph, column: Sum) -> bool:
    """Move every edge at the first triangle on to its next one; return whether that triangle was in the sum."""
    triangle, present = column.heap[0][0], False
    while len(column.heap) > 0 and column.heap[0][0] == triangle:
        edge = heapq.heappop(column.heap)[1]
        column.inside[edge] = False
        if column.odd[edge]:
            present, column.odd[edge] = not present, False
            _toggle(graph, column, _next(graph, edge, triangle), edge)
    return present


@njit(cache=True, nogil=True)
def _toggle(graph: Graph, column: Sum, triangle: int, edge: int) -> None:
    """Add an edge at its next triangle; two of the same cancel, and one without a next triangle adds nothing."""
    if triangle == len(graph.ends) * len(graph.keys):
        return
    column.odd[edge] = not column.odd[edge]
    if not column.inside[edge]:
        column.inside[edge] = True
        heapq.heappush(column.heap, (triangle, edge))


@njit(cache=True, nogil=True)
def _store(reduced: Reduced, column: Sum, edge: int) -> None:
    """Move what is left of the sum to the reduced columns."""
    reduced.start[edge] = len(reduced.entries)
    for entry in column.heap:
        if column.odd[entry[1]]:
            reduced.entries.append(entry)
        column.inside[entry[1]] = column.odd[entry[1]] = False
    reduced.stop[edge] = len(reduced.entries)
    column.heap.clear()


@njit(cache=True, nogil=True)
def _next(graph: Graph, edge: int, bound: int) -> int:
    """The first triangle beyond `bound` that has this edge, or m * n."""
    i, j = graph.ends[edge]
    near_i, near_j, own = graph.keys[i], graph.keys[j], graph.keys[i, j]
    none = len(graph.ends) * len(graph.keys)
    found = none
    for v in range(len(graph.keys)):  # without a jump, so that it is compiled to vector instructions
        triangle = max(own + v, max(near_i[v] + j, near_j[v] + i))
        found = min(found, triangle if triangle > bound else none)
    return found


@njit(cache=True, nogil=True)
def _owner(pivots: Pivots, triangle: int, n: int) -> int:
    """The column that has this pivot, or -1."""
    owner = pivots.first[triangle // n]
    while owner >= 0 and pivots.pivot[owner] != triangle:
        owner = pivots.after[owner]
    return owner


@njit(cache=True, nogil=True)
def _own(pivots: Pivots, triangle: int, edge: int, n: int) -> None:
    """Give the column of `edge` its pivot."""
    pivots.pivot[edge] = triangle
    pivots.after[edge] = pivots.first[triangle // n]
    pivots.first[triangle // n] = edge


@njit(cache=True, nogil=True)
def _tree_edges(ends: np.ndarray, order: np.ndarray, n: int) -> np.ndarray:
    """Which edges join two components when they come in this order (Kruskal's algorithm)."""
    parent, tree = np.arange(n), np.zeros(len(ends), np.bool_)
    for edge in order:
        a, b = _root(parent, ends[edge, 0]), _root(parent, ends[edge, 1])
        parent[a] = b
        tree[edge] = a != b
    return tree


@njit(cache=True, nogil=True)
def _root(parent: np.ndarray, point: int) -> int:
    """Representative of the component of a point; the path to it is halved on the way."""
    while parent[point] != point:
        parent[point] = parent[parent[point]]
        point = parent[point]
    return point
