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
The table is for the default options. *Unchanged by* lists transformations of either model that do not change the score:
a rotation or reflection (orthogonal), a shift of the origin, a change of scale, any invertible linear map, or a
permutation of the units. A measure that is not symmetric says how well the first model explains the second. `magnitude`
and `concentricity` describe a single model, and a pair by their difference:
`measures.prepare("magnitude", features).value` is the value of one model.

## Which to report

- Invariances differ on purpose. `cka`, `procrustes` and `shape` ask whether the geometry is the same; `cca`,
  `linear_regression` and `gulp` whether the same information is linearly decodable; `jaccard`, `rank`, `cosine` and
  `rsa` whether the same images are close to each other; `rtd` and `rtd_lite` whether clusters and loops are the same;
  `soft_matching` whether individual units are. No measure is enough by itself: report at least one of global geometry
  and one of neighbourhoods.
- Independent features do not always score zero. The floor of `cka_biased`, `procrustes`, `shape`, `cca`, `svcca`,
  `pwcca`, `linear_regression` and `soft_matching` rises with d / n, that of `jaccard` is about k / (2n), and the scale
  of the distances `gulp`, `rtd` and `rtd_lite` depends on the widths and the number of points. Scores of models of
  different widths, or on different numbers of images, are only comparable next to their floors, which `measures.floor`
  computes. The floor of unbiased `cka`, `cka_minibatch`, `cka_rbf` and `rsa` is about zero; that of `cosine` is about
  d / (d + n²).
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

## Differences from other implementations

{others}
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
