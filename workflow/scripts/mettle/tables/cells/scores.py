"""Table of everything that was measured of one model."""

from dataclasses import replace

from mettle.tables.columns import BINARY, FLOAT, RESULT, STR, Column, Table, keys

_KEYS = (
    *("dataset", "images", "split", "model", "model_b", "task"),
    *("attack", "norm", "eps", "corruption", "measure"),
)
_ALWAYS = ("model", "dataset", "measure")

SCORES = Table(
    "scores",
    "All scores of a model, from the files that exist. `about` is `clean`, `attack`, `worst_case` (an image counts if "
    "the model is right on it clean and no attack of that norm has found a change of at most that eps that fools it), "
    "`corruption`, `drift`, `similarity` or `agreement`. lo and hi are a 95 % interval over images, for accuracies "
    "Wilson's.",
    {name: column if name in _ALWAYS else replace(column, nullable=True) for name, column in keys(*_KEYS).items()}
    | {
        "about": Column(STR, "what kind of score it is"),
        "statistic": Column(STR, "what was made of scores under corruptions, as in `robustness_scores`", nullable=True),
    }
    | RESULT
    | {
        "published": Column(FLOAT, "published value of the same", nullable=True),
        "source": Column(STR, "source of the published value", nullable=True),
        "ids": Column(STR, "digest of the images' ids: the same for the same images", nullable=True),
        "right": Column(BINARY, "a bit per image, by id: whether the answer is right; accuracies only", nullable=True),
        "file": Column(STR, "file that it is from, below the folder of results"),
    },
)
