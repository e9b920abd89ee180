"""Writes docs/measures.md from the registry and its schema; with --check, says whether it is up to date."""

import math
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from mettle import measures, schema  # noqa: E402 (the path comes first)

HEAD = """# Measures of representational similarity

Every measure of the registry, made by `make docs` from `workflow/scripts/mettle/measures` and
`workflow/schemas/measures.schema.yaml`, which also describes the options. Each compares the features of two models on
the same n images, in d dimensions (the larger width of the two). Tests check every claim of this table against the
measure it is about.

| measure | what it is | more alike | range | with itself | unchanged by | symmetric | images needed | defined in |
|---|---|---|---|---|---|---|---|---|
"""

FOOT = """
The table is for the default options. *Unchanged by* lists transformations of either model that do not change the
score: a rotation or reflection (orthogonal), a shift of the origin, a change of scale, any invertible linear map, or
a permutation of the units. A measure that is not symmetric says how well the first model explains the second.
`magnitude`, `concentricity` and `uniformity` describe a single model, and a pair by their difference:
`measures.prepare("magnitude", features).value` is the value of one model. These three and `imd` do not ask which
image is which.

## Which to report

- Invariances differ on purpose. `cka`, `procrustes`, `shape`, `aligned_cosine` and `distance_correlation` ask whether
  the geometry is the same; `size_and_shape`, `permutation_procrustes` and `rsm_norm_difference` whether its scale is,
  too; `cca`, `linear_regression`, `eigenspace_overlap` and `gulp` whether the same information is linearly decodable;
  `jaccard`, `mutual_knn`, `cknna`, `rank`, `cosine` and `rsa` whether the same images are close to each other; `rtd`
  and `rtd_lite` whether clusters and loops are the same; `soft_matching`, `hard_matching` and `semi_matching` whether
  individual units are. No measure is enough by itself: report at least one of global geometry and one of
  neighbourhoods.
- Independent features do not always score zero. The floor of `cka_biased`, `procrustes`, `shape`, `aligned_cosine`,
  `cca`, `svcca`, `pwcca`, `linear_regression`, `eigenspace_overlap`, `distance_correlation` and the matchings rises
  with d / n, that of `jaccard` is about k / (2n), that of `mutual_knn` k / n, and the scale of the distances `gulp`,
  `rtd`, `rtd_lite`, `size_and_shape`, `permutation_procrustes` and `rsm_norm_difference` depends on the widths and
  the number of images. Scores of models of different widths, or on different numbers of images, are only comparable
  next to their floors, which `measures.floor` computes, or calibrated ([below](#calibrated-scores)). The floor of
  unbiased `cka`, `cka_minibatch`, `cka_rbf` and `rsa` is about zero; that of `cosine` is about d / (d + n²).
- Once p + q exceeds n - 1, spans of p and q dimensions among n images always intersect, and some canonical correlations
  are 1 for any features: independent features of 512 dimensions would get a `cca` of 0.998 from 514 images. So `cca`,
  `pwcca`, `gulp` with a `ridge` of 0 and `shape` with an `alpha` of 0 need more images than both widths together.
  `svcca` counts the components that it keeps instead of the widths, and refuses a pair that keeps too many. It works
  with few images if the features vary in few directions, or with a smaller `variance`. `linear_regression` needs more
  images than dimensions, and many more for a low floor: independent features explain d / (n - 1) of the variance, and
  their squared canonical correlations are as large on average. With few images, use `cka`, or `gulp` with its `ridge`.
- Other measures also refuse numbers of images for which the score is the same for any features: `jaccard` needs more
  images than neighbours, and `procrustes`, `shape`, `gulp` and `cka_biased` need more than two images.
- With every score, report the number of images, the widths, the options, and the score with permuted images
  (`measures.baseline`). Compare groups of images only at equal n.

## Calibrated scores

Scores of unrelated models are not 0, and rise with the width of the models. So a score can be calibrated against its
permutation null (Gröger, Wen and Brbić 2026, arXiv:2602.14486, algorithm 1): the images of one model are put into K
random orders, and each order is scored. p is the share of the K + 1 orders, the right one among them, that score at
least as similar. The calibrated score is 0 up to the threshold t, which the score of independent models exceeds with
a probability of at most 5 %, and 1 for a model and itself: the positive part of (s - t) / (s_max - t). Distances are
calibrated as their negatives, whose maximum is 0.

```
compare:
  permutations: 200
```

fills the columns `p` and `calibrated` of the tables of similarity; the figure `atlas` draws them with `shows:
calibrated`. What a measure needs of a model is computed once and put into each order, but for `rtd`, `rtd_lite` and
`cka_minibatch`, which look at random parts of the images. `magnitude`, `concentricity`, `uniformity` and `imd` score
every order alike, and are not calibrated. In Python, `measures.calibrate("cka", x, y, 0)`.

p-values are of single pairs: among 100 pairs of independent models, five are expected below 0.05.

## Differences from other implementations

{others}
Of `resi` (Klabunde et al. 2025), one measure is not here: the geometry score (Khrulkov and Oseledets 2018,
arXiv:1802.02664). It counts loops among 64 random images at a time, in a witness complex whose largest radius falls
with the number of images, and never asks which image is which. With its defaults and 20 draws of them on 1,000 normal
features of 512 dimensions, its authors' code gives 0.006 for two independent models, and 0.003 for a model and
itself. `rtd` compares loops of the same images.

Neighbours are ranked by distances with rounding errors: for features with near ties, `jaccard`, `rank` and
`rank_jaccard` change by about 1e-5 between two memory layouts of the same features, or between two linear algebra
libraries. Exact ties go to the first image.
"""


OTHERS = (
    ("here", "there", "difference"),
    ("---", "---", "---"),
    (
        "`svcca`: the fewest components that explain 99 % of the variance",
        "`resi` compares the explained share, which is at most 1, with 99 % of the total variance: for features with a "
        "total variance above about 1 it keeps one component, so the score depends on their scale",
        "0.42 where it was noticed; 0.88 here and 0.27 there on synthetic features (1,000 images, 20 dimensions)",
    ),
    (
        "`pwcca`: weights are inner products of the canonical variables with the units of the second model",
        "google/svcca, and `resi` after it, omit the whitening of the variables and take the narrower model; if that "
        "is the second, they index the first by it, which fails",
        "0.08 where it was noticed; 0.01 to 0.08 on synthetic features of equal widths",
    ),
    (
        "`svcca`: the mean over all kept dimensions",
        "the entry `mean` of google/svcca leaves out the last correlations, beyond 98 % of their sum",
        "the contribution of those",
    ),
    (
        "`cca`: features are centred",
        "the demo notebook of Kornblith et al. 2019 does not centre: features away from the origin share the direction "
        "of their mean",
        "0.020 here and 0.068 there, the mean square for independent features of mean 3 (1,000 images, 20 dimensions)",
    ),
    (
        "`cknna`: kernels are centred over all images, then the neighbours are picked out, as in the paper",
        "minyoungg/platonic-rep sets all but common neighbours to zero and takes unbiased HSIC of what is left, which "
        "is not symmetric and exceeds 1 for few images: `centring: after` with `centre: false`",
        "the definition; the option gives their number but for 1e-6 in a denominator",
    ),
    (
        "`mutual_knn`: cosines of features whose mean has been subtracted",
        "minyoungg/platonic-rep does not subtract it (`centre: false`), and clips features at a quantile before",
        "the neighbours of features away from the origin",
    ),
    (
        "`eigenspace_overlap`: over the larger rank",
        "`resi` divides by the larger width: a model with dead units is not like itself",
        "the share of dead units",
    ),
    (
        "`aligned_cosine`: of features whose mean has been subtracted",
        "`resi` does not subtract it (`centre: false`)",
        "features away from the origin are alike because of it",
    ),
    (
        "`rsm_norm_difference`: root of the sum of squares",
        "`resi` takes the spectral norm of the matrix (`norm: spectral`), where its comment means the root of the sum "
        "of squares",
        "the norm",
    ),
    (
        "`uniformity`: of directions, as in its paper",
        "`resi` takes features as they are (`sphere: false`), where distances above 4 or so give -log n for any "
        "features",
        "every pair of usual networks scores 0 there",
    ),
    (
        "`imd`: the exact heat trace",
        "xgfs/imd, and `resi` after it, estimate it from random vectors",
        "219.3 here; 222.1, the mean of five estimates, there (the fixture of `tests/golden`)",
    ),
)


def numeral(value: float) -> str:
    """A bound or a self value as text."""
    known = {math.inf: "∞", math.pi / 2: "π/2"}
    return known.get(value, f"{value:g}").replace("-", "−")


def needs(measure: measures.Measure) -> str:
    """The smallest number of images as a formula in d, derived from two widths."""
    few, many = (measure.min_images(d, **measure.options) for d in (1000, 2000))
    slope = (many - few) // 1000
    return {0: f"{few}", 1: f"d + {few - 1000}", 2: f"2d + {few - 2000}"}[slope]


def row(name: str, measure: measures.Measure) -> str:
    """One line of the table."""
    low, high = measure.scale.range
    cells = [
        f"`{name}`",
        schema.load("measures")["$defs"][name]["description"].rstrip("."),
        "higher" if measure.scale.higher_is_alike else "lower",
        f"{numeral(low)} to {numeral(high)}",
        numeral(measure.scale.self_value),
        ", ".join(sorted(measure.invariances)) or "nothing",
        "yes" if measure.symmetric else "no",
        needs(measure),
        measure.reference,
    ]
    return f"| {' | '.join(cells)} |\n"


def text() -> str:
    """The whole page."""
    others = "".join(f"| {' | '.join(cells)} |\n" for cells in OTHERS)
    return HEAD + "".join(row(*item) for item in measures.MEASURES.items()) + FOOT.replace("{others}", others)


if __name__ == "__main__":
    page = ROOT / "docs" / "measures.md"
    if "--check" in sys.argv:
        sys.exit(
            0 if page.exists() and page.read_text() == text() else "docs/measures.md is out of date: run `make docs`"
        )
    page.write_text(text())
