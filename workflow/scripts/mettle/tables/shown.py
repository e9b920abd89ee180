"""Tables that figures and people look at, collected from those of the stages."""

import pyarrow as pa

from mettle.tables.cells import AGREE, BY_EPOCH, COMPARE, PROBE_AGREE, RUN, SUBGROUPS
from mettle.tables.columns import FLOAT, INT, RESULT, STR, Column, Table, keys

_CLEAN = {"clean": Column(FLOAT, "clean accuracy on the same n images; null in clean rows", "fraction", nullable=True)}
_SHARES = {name: RESULT[name] for name in ("n", "value", "lo", "hi")} | _CLEAN | {"note": RESULT["note"]}

ACCURACY = Table(
    "accuracy",
    "Clean and attacked accuracy, clean once per model and set of images; lo and hi are the 95 % Wilson interval.",
    keys("dataset", "split", "model", "attack", "norm", "eps", "measure") | _SHARES,
)

UNIVERSALITY_ACCURACY = Table(
    "universality_accuracy",
    "Clean accuracy beside what was published, and accuracy in the ball of each model's own training attack (norm, "
    "eps); lo and hi are the 95 % Wilson interval.",
    ACCURACY.columns
    | {
        "published": Column(FLOAT, "published clean accuracy", "fraction", nullable=True),
        "difference": Column(FLOAT, "measured less published", "fraction", nullable=True),
        "source": Column(STR, "where the published number stands", nullable=True),
    },
)

_FROM = {"source": Column(STR, "`here`, or where a published value stands")}
_GROUP = "; rows of model `all` are means over pairs, lo and hi their 95 % bootstrap interval over models"

FIG1 = Table(
    "fig1",
    "Images of figure 1: targets, the seeds that inversion starts from, and what it makes of them; `value` is the "
    "final loss of an inverted image.",
    keys("dataset", "model", "norm", "eps", "measure", "id") | RESULT | {"image": Column(pa.binary(), "PNG")},
)

FIG2 = Table(
    "fig2",
    "Similarity of pairs of models on natural images, by data set and training eps" + _GROUP + ".",
    COMPARE.columns,
)

FIG3 = Table(
    "fig3",
    "Directed similarity of pairs of models on inverted images, by data set and training eps" + _GROUP + ".",
    COMPARE.columns,
)

FIG4 = Table(
    "fig4",
    "Functional similarity of pairs of models on natural images" + _GROUP + "; `ambiguity` and `discrepancy` are of "
    "the whole group.",
    AGREE.columns,
)

FIG5 = Table(
    "fig5",
    "Rows of `subgroups` for the pairs that figure 5 shows, then a row per contrast (model is `all`): value is the "
    "mean paired difference over pairs, lo and hi its 95 % bootstrap interval, p of a paired permutation test.",
    SUBGROUPS.columns | {"p": Column(FLOAT, "two-sided p-value", "probability", nullable=True)},
)

FIG6 = Table("fig6", "Agreement of pairs of models by head, from `probe_agree`" + _GROUP + ".", PROBE_AGREE.columns)

FIG7 = Table(
    "fig7",
    "Rows of figure 7: means of `effectiveness` over seeds, lo and hi the smallest and largest seed; `gap` is what the "
    "loss lacks to that of the most steps of PGD, as a fraction of it: negative where APGD finds more.",
    keys("dataset", "model", "attack", "norm", "eps", "measure") | BY_EPOCH | {"steps": RUN["steps"]} | RESULT | _FROM,
)

FIG8 = Table(
    "fig8",
    "Rows of figure 8: mean of `convergence` over seeds per image, lo and hi one standard deviation below and above, "
    "n the number of seeds.",
    keys("dataset", "model", "norm", "eps", "measure", "id") | {"steps": RUN["steps"]} | RESULT | _FROM,
)

FIG9 = Table(
    "fig9",
    "Accuracy under AutoAttack by eps; lo and hi are the 95 % Wilson interval.",
    keys("dataset", "model", "attack", "norm", "eps", "measure") | _SHARES | _FROM,
)

FIG10 = Table(
    "fig10",
    "Clean and attacked accuracy of every cell of a sweep; lo and hi are the 95 % Wilson interval.",
    keys("dataset", "model", "attack", "norm", "eps", "measure")
    | {
        "cell": Column(STR, "values that the recipe takes in the grid of the sweep"),
        "swept": Column(STR, "number that the sweep varies, where it varies one or two keys", nullable=True),
        "at": Column(FLOAT, "its value", nullable=True),
        "other": Column(STR, "the other key that the sweep varies, with its value", nullable=True),
    }
    | _SHARES,
)

FIG11 = Table(
    "fig11",
    "Rows of figure 11: share of perturbations that a model gives the true class, lo and hi the 95 % Wilson interval; "
    "rows of measure `example` hold a perturbation as an image.",
    keys("dataset", "model", "model_b", "attack", "norm", "eps", "measure", "id")
    | RESULT
    | {"image": Column(pa.binary(), "PNG of an example", nullable=True)},
)

FIG12 = Table(
    "fig12",
    "Learning curves: accuracies of `epochs` in long form; lo and hi are the 95 % Wilson interval on held-out images, "
    "or the lower and the higher of two published runs.",
    keys("model", "measure") | {"epoch": RUN["epoch"], "steps": RUN["steps"]} | RESULT | _FROM,
)

PUBLISHED = Table(
    "published",
    "Measured beside published accuracy; value is measured, lo and hi its 95 % Wilson interval.",
    keys("dataset", "model", "attack", "norm", "eps", "measure")
    | RESULT
    | {
        "published": Column(FLOAT, "published accuracy", "fraction"),
        "difference": Column(FLOAT, "measured less published", "fraction"),
        "source": Column(STR, "where the published number stands"),
    },
)

FIG13 = Table("fig13", "Functional similarity of pairs of models on inverted images" + _GROUP + ".", AGREE.columns)

_BY_K = COMPARE.columns | {"k": Column(INT, "neighbours per image")}

FIG14 = Table("fig14", "Jaccard similarity on natural images by number of neighbours" + _GROUP + ".", _BY_K)

FIG15 = Table("fig15", "Jaccard similarity on inverted images by number of neighbours" + _GROUP + ".", _BY_K)

SHOWN = [ACCURACY, UNIVERSALITY_ACCURACY, PUBLISHED, FIG1, FIG2, FIG3, FIG4, FIG5, FIG6, FIG7, FIG8, FIG9, FIG10]
SHOWN += [FIG11, FIG12, FIG13, FIG14, FIG15]
