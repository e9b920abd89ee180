"""
RTD from the exact sequence of a cone, without a barcode on 2n + 1 points.

RTD from a cloud A to a cloud B sums the lengths of the H1 bars of the cone of L_r -> K_r, where L and K are the
Vietoris-Rips filtrations of the distances of A and of the elementwise minimum of both (Barannikov et al. 2022,
arXiv:2201.00058). That sum is the integral over r of dim H1(cone), and exactness of

    H1(L_r) -> H1(K_r) -> H1(cone) -> H0(L_r) -> H0(K_r) -> 0

turns it into three integrals over n points:

    RTD = [tree(A) - tree(least)] + bars(K) - bars(L -> K)

tree(.) is the weight of a minimum spanning tree (the integral of dim H0 - 1), bars(K) the total length of the H1 bars
of K, and bars(L -> K) that of the bars of the image of H1(L_r) in H1(K_r). Both directions share tree(least) and
bars(K).

`mettle.measures.reduction` computes the bars.
"""

import numpy as np

from mettle.compiled import compiled
from mettle.measures.reduction import MOST, Graph, image_bars, pairs


def divergence(a: np.ndarray, b: np.ndarray) -> float:
    """RTD from a to b only, see `divergences`."""
    graph, triangles, shared = _shared(a, b)
    return _direction(graph, triangles, a, spanning_tree(a) + shared)


def divergences(a: np.ndarray, b: np.ndarray, tree_a: float, tree_b: float) -> tuple[float, float]:
    """
    RTD from a to b and from b to a.

    Parameters
    ----------
    a, b : (n, n) float64 arrays
        Distances of two clouds with matching points.
    tree_a, tree_b : float
        Weights of their minimum spanning trees, see `spanning_tree`.

    Returns
    -------
    (float, float)
        At least 0.

    Raises
    ------
    ValueError
        If the shapes differ, an array is not symmetric or not finite, or there are more than 8,000 points.
    """
    graph, triangles, shared = _shared(a, b)
    return _direction(graph, triangles, a, tree_a + shared), _direction(graph, triangles, b, tree_b + shared)


def _shared(a: np.ndarray, b: np.ndarray) -> tuple[Graph, np.ndarray, float]:
    """What only depends on K: its edges, the triangles that end bars in ascending order, and its part of RTD."""
    if a.shape != b.shape or not all(np.isfinite(x).all() and np.array_equal(x, x.T) for x in (a, b)):
        raise ValueError("RTD needs two symmetric (n, n) arrays of finite distances")
    if len(a) > MOST:
        raise ValueError(f"RTD takes at most {MOST} points, got {len(a)}")
    least = np.minimum(a, b)
    graph = _graph(least)
    triangles = pairs(graph)
    paired = triangles >= 0
    bars = (graph.lengths[triangles[paired] // len(least)] - graph.lengths[paired]).sum()
    return graph, np.sort(triangles[paired]), bars - spanning_tree(least)


def _direction(graph: Graph, triangles: np.ndarray, distances: np.ndarray, rest: float) -> float:
    """RTD from the cloud with these distances; `rest` is the sum of all terms except the bars of the image."""
    births = distances[graph.ends[:, 0], graph.ends[:, 1]]
    return max(rest - image_bars(graph, triangles, births, np.argsort(births, kind="stable")), 0.0)


def _graph(distances: np.ndarray) -> Graph:
    """
    The edges that matter in an (n, n) array of distances.

    From the radius at which one point reaches all others, the complex is a cone and has no homology.
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


@compiled
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
