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
the same n images, in d dimensions (the larger width of the two). Tests hold the claims of this table against the
measures, by name.

| measure | what it is | more alike | range | with itself | unchanged by | symmetric | images needed | defined in |
|---|---|---|---|---|---|---|---|---|
"""

FOOT = """
Claims are those of the default options. *Unchanged by* is a change of either model: of its basis by a rotation or
reflection (orthogonal), of its origin, of its scale, by any invertible linear map, or of the order of its units. A
measure that is not symmetric says how well the first model explains the second. `magnitude` and `concentricity`
describe one model each, and a pair by the difference: `measures.prepare("magnitude", features).value` is the number of
one model.

## Which to report

- Invariances differ on purpose. `cka`, `procrustes` and `shape` ask whether the geometry is the same, `cca`,
  `linear_regression` and `gulp` whether the same can be read off linearly, `jaccard`, `rank`, `cosine` and `rsa`
  whether the same images are close, `rtd` and `rtd_lite` whether clusters and loops are, `soft_matching` whether
  single units are. No measure is read alone: report at least one of the whole geometry and one of neighbourhoods.
- Independent features do not score zero everywhere. The floor of `cka_biased`, `procrustes`, `shape`, `cca`, `svcca`,
  `pwcca`, `linear_regression` and `soft_matching` rises with d / n, that of `jaccard` is about k / (2n), and the
  distances `gulp`, `rtd` and `rtd_lite` have a scale of their own for every width and number of points. Scores of
  models of different widths, or on different numbers of images, cannot be set side by side without the floor, which
  `measures.floor` computes. Unbiased `cka`, `cka_minibatch` and `cka_rbf`, and `rsa` are about zero there; `cosine`
  is about d / (d + n²).
- Spans of p and q dimensions among n images share some of them whatever the features once p + q exceeds n - 1, and the
  canonical correlations there are 1: independent features of 512 dimensions would get a `cca` of 0.998 from 514 images.
  So `cca` and `pwcca`, `gulp` with a `ridge` of 0 and `shape` with an `alpha` of 0 need more images than both widths
  together. `svcca` counts the components that it keeps instead of the widths, and refuses a pair that keeps too many:
  it serves few images where the features vary in few directions, or with a smaller `variance`.
  `linear_regression` needs more images than dimensions, and many more for a low floor:
  independent features explain d / (n - 1), and their squared canonical correlations are as large on average. With few
  images, take `cka`, or `gulp` with its `ridge`.
- No other measure is settled by the number of images either: `jaccard` refuses as many neighbours as there are images,
  and `procrustes`, `shape`, `gulp` and `cka_biased` refuse two images.
- Report with every score the number of images, the widths, the options, and the score of permuted images
  (`measures.baseline`). Compare groups of images only at equal n.

## Beside other implementations

{others}
Neighbours are ranked by distances that carry rounding: `jaccard`, `rank` and `rank_jaccard` of features with near ties
move by about 1e-5 between two memory layouts of the same features, or two libraries for linear algebra. Exact ties go
to the first image.
"""


OTHERS = (
    ("ours", "theirs", "apart by"),
    ("---", "---", "---"),
    (
        "`svcca`: as many components as explain 99 % of the variance",
        "`resi` compares the explained share, which is at most 1, with 99 % of the total variance: of features whose "
        "variance sums to more than about 1 it keeps one component, so the score depends on their scale",
        "0.42 where it was noticed; 0.88 here and 0.27 there on made features (1,000 images, 20 dimensions)",
    ),
    (
        "`pwcca`: weights are inner products of the canonical variables with the units of the second model",
        "google/svcca, and `resi` after it, leave the whitening out of the variables and take the narrower model; "
        "where that is the second, they index the first by it, which fails",
        "0.08 where it was noticed; 0.01 to 0.08 on made features of equal widths",
    ),
    (
        "`svcca`: the mean over all kept dimensions",
        "the entry `mean` of google/svcca leaves out the last correlations, beyond 98 % of their sum",
        "what they hold",
    ),
    (
        "`cca`: features are centred",
        "the demo notebook of Kornblith et al. 2019 does not centre: features away from the origin share the direction "
        "of their mean",
        "0.020 here and 0.068 there, the mean square for independent features of mean 3 (1,000 images, 20 dimensions)",
    ),
)


def numeral(value: float) -> str:
    """A bound or a self value as it is written."""
    known = {math.inf: "∞", math.pi / 2: "π/2"}
    return known.get(value, f"{value:g}").replace("-", "−")


def needs(measure: measures.Measure) -> str:
    """Fewest images as a formula in d, read off at two widths."""
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
