"""
Scales: what the raw values of each similarity measure mean, and how figures show them.

Figures need this of a measure and nothing else, so it is declared here, apart from the libraries that compute one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """
    The scale of a similarity measure.

    Attributes
    ----------
    label : str
        Axis label of the displayed value.
    higher_is_alike : bool
        Whether a higher raw value means more alike.
    range : (float, float)
        Least and greatest raw value.
    self_value : float
        Raw value of a model with itself.
    display : callable
        From the raw value to a number that is higher the more alike.
    formula : str
        The same in words, with braces for the raw value.
    by_image : bool
        Whether it depends on which image is which; if not, every order of the images has the same score.
    """

    label: str
    higher_is_alike: bool
    range: tuple[float, float]
    self_value: float
    display: Callable[[float], float]
    formula: str
    by_image: bool = True

    def title(self, name: str) -> str:
        """The label, and how it follows from the table's value where it is another number.

        Parameters
        ----------
        name : what the table calls the raw value
        """
        return self.label if self.formula == "{}" else f"{self.label} = {self.formula.format(name)}"


def similarity(label: str, least: float = 0.0) -> Scale:
    """From `least` to 1, the value of a model with itself; shown as it is."""
    return Scale(label, True, (least, 1.0), 1.0, float, "{}")


def bounded_distance(label: str, greatest: float, text: str = "", by_image: bool = True) -> Scale:
    """From 0, the value of a model with itself, to `greatest`; shown as 1 minus the share of `greatest`.

    Parameters
    ----------
    label : axis label of the displayed value
    greatest : largest raw value
    text : `greatest` in words; nothing where it is 1
    by_image : see `Scale`
    """
    formula = f"1 - {{}} / {text}" if text else "1 - {}"
    return Scale(label, False, (0.0, greatest), 0.0, lambda value: 1 - value / greatest, formula, by_image)


def distance(label: str, by_image: bool = True) -> Scale:
    """From 0, the value of a model with itself, without bound; shown as its negative, as the label must say."""
    return Scale(label, False, (0.0, math.inf), 0.0, lambda value: -value, "−{}", by_image)


def enough_draws(draws: int, level: float) -> bool:
    """Whether a score can be above a share of 1 - level of itself and `draws` others: 19 or more for 0.05."""
    return draws + 1 >= 1 / level - 1e-9


SCALES = {
    # Of representations: keys of mettle.measures.MEASURES.
    "cka": similarity("CKA", -1.0),
    "cka_biased": similarity("CKA (biased)"),
    "cka_minibatch": similarity("CKA (minibatch)", -1.0),
    "cka_rbf": similarity("CKA (RBF)", -1.0),
    "cknna": similarity("CKNNA", -1.0),
    "procrustes": bounded_distance("Procrustes similarity", 2.0, "2"),
    "size_and_shape": distance("−size-and-shape distance"),
    "permutation_procrustes": distance("−permutation Procrustes distance"),
    "aligned_cosine": similarity("aligned cosine", -1.0),
    "mutual_knn": similarity("mutual kNN"),
    "jaccard": similarity("Jaccard (kNN)"),
    "rank": similarity("Rank similarity (kNN)"),
    "rank_jaccard": similarity("Jaccard × rank (kNN)"),
    "cosine": similarity("Second-order cosine", -1.0),
    "rtd": distance("−RTD"),
    "rtd_lite": distance("−RTD-Lite"),
    "gulp": distance("−GULP"),
    "shape": bounded_distance("shape similarity", math.pi / 2, "(π/2)"),
    "cca": similarity("CCA"),
    "svcca": similarity("SVCCA"),
    "pwcca": similarity("PWCCA"),
    "linear_regression": similarity("R² of linear regression"),
    "eigenspace_overlap": similarity("eigenspace overlap"),
    "rsa": similarity("RSA", -1.0),
    "distance_correlation": similarity("distance correlation"),
    "rsm_norm_difference": distance("−difference of distances"),
    "imd": distance("−IMD", by_image=False),
    "soft_matching": similarity("soft matching", -1.0),
    "hard_matching": similarity("hard matching", -1.0),
    "semi_matching": similarity("semi-matching", -1.0),
    "magnitude": distance("−difference of magnitude", by_image=False),
    "concentricity": bounded_distance("likeness of concentricity", 2.0, "2", by_image=False),
    "uniformity": distance("−difference of uniformity", by_image=False),
    # Of answers: keys of mettle.measures.functional.FUNCTIONAL.
    "disagreement": bounded_distance("agreement", 1.0),
    "normalised_disagreement": bounded_distance("normalised agreement", 1.0),
    "kappa": similarity("Cohen's kappa", -1.0),
    "jsd": bounded_distance("JSD similarity", math.log(2), "ln 2"),
    "churn": distance("negative churn"),
}
