"""The point-wise worst case: what is left of a model's accuracy by all attacks of a norm together."""

from collections.abc import Iterator

import pandas as pd

_OF_MODEL = ["dataset", "split", "model", "norm"]
WORST = "worst_case"  # in place of an attack's name


def worst(attacks: pd.DataFrame) -> Iterator[tuple[dict, pd.DataFrame]]:
    """Key columns, and the worst answer to every image, of each model, norm and eps that an attack has.

    An image counts as right only if it is so unattacked and no attack in the norm, at whatever eps, has found a change
    of at most this eps that fools the model. Norms are never mixed. The images are those that every attack at this eps
    or a smaller one has seen, perhaps none.

    Parameters
    ----------
    attacks : rows of the attack table

    Yields
    ------
    keys : dataset, split, model, norm, eps, attack, and `over`, the names of the attacks at this eps or a smaller one
    answers : label, prediction and clean_prediction of each image, and the flags of the attack table
    """
    attacks = attacks[attacks["eps"] > 0]
    for values, group in attacks.groupby(_OF_MODEL, sort=False):
        keys = dict(zip(_OF_MODEL, values, strict=True))
        for eps in sorted(group["eps"].unique()):
            names = list(dict.fromkeys(group.loc[group["eps"] <= eps, "attack"]))
            yield keys | {"eps": eps, "attack": WORST, "over": ", ".join(names)}, _answers(group, eps)


def _answers(attacks: pd.DataFrame, eps: float) -> pd.DataFrame:
    """The worst answers to the images that every attack at this eps or a smaller one has seen, by id."""
    seen = attacks[attacks["eps"] <= eps]
    times = seen.groupby("id")["attack"].nunique()
    common = times.index[times == seen["attack"].nunique()]
    answers = seen.drop_duplicates("id").set_index("id").loc[common].assign(prediction=lambda rows: rows["label"])
    fooled = attacks[(attacks["distance"] <= eps) & (attacks["prediction"] != attacks["label"])]
    found = fooled.drop_duplicates("id").set_index("id")["prediction"]
    answers["prediction"] = found.reindex(common).fillna(answers["prediction"]).astype(answers["label"].dtype)
    wrong = answers["clean_prediction"] != answers["label"]
    return answers.assign(prediction=answers["prediction"].where(~wrong, answers["clean_prediction"]))
