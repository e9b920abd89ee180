"""Tables of the cells that the stages make."""

from mettle.tables.answers import CORRUPT
from mettle.tables.attacked import ATTACKED
from mettle.tables.cells.attacks import BY_EPOCH, CONVERGENCE, EFFECTIVENESS, RUN, SEMANTICS, SUBMISSION
from mettle.tables.cells.corruptions import EXAMPLES, PICTURES, ROBUSTNESS
from mettle.tables.cells.features import ACTIVATIONS, DRIFT, LAYER_FEATURES, REPRESENT, SURFACE
from mettle.tables.cells.scores import SCORES
from mettle.tables.cells.similarity import (
    AGREE,
    COMPARE,
    LAYER_SIMILARITY,
    METHOD,
    PROBE,
    PROBE_AGREE,
    PROBE_EPOCHS,
    SUBGROUPS,
)
from mettle.tables.cells.stores import DENSE_MANIFEST, INVERTED, MANIFEST, PAIRS, PERTURBED
from mettle.tables.cells.trainings import COST, EPOCHS, HEADS, SHARED_ATTACK, TOKENS_STEPS, TRANSFER_EPOCHS

__all__ = [
    "ACTIVATIONS",
    "AGREE",
    "BY_EPOCH",
    "CELLS",
    "COMPARE",
    "CONVERGENCE",
    "COST",
    "DENSE_MANIFEST",
    "DRIFT",
    "EFFECTIVENESS",
    "EPOCHS",
    "EXAMPLES",
    "HEADS",
    "INVERTED",
    "LAYER_FEATURES",
    "LAYER_SIMILARITY",
    "MANIFEST",
    "METHOD",
    "PAIRS",
    "PERTURBED",
    "PICTURES",
    "PROBE",
    "PROBE_AGREE",
    "PROBE_EPOCHS",
    "REPRESENT",
    "ROBUSTNESS",
    "RUN",
    "SCORES",
    "SEMANTICS",
    "SHARED_ATTACK",
    "SUBGROUPS",
    "SUBMISSION",
    "SURFACE",
    "TOKENS_STEPS",
    "TRANSFER_EPOCHS",
]

CELLS = [
    MANIFEST,
    DENSE_MANIFEST,
    PAIRS,
    INVERTED,
    PERTURBED,
    EPOCHS,
    TRANSFER_EPOCHS,
    TOKENS_STEPS,
    SHARED_ATTACK,
    HEADS,
    DRIFT,
    ACTIVATIONS,
    SURFACE,
    *ATTACKED.values(),
    EFFECTIVENESS,
    CONVERGENCE,
    SEMANTICS,
    SUBMISSION,
    REPRESENT,
    LAYER_FEATURES,
]
CELLS += [*CORRUPT.values(), ROBUSTNESS, EXAMPLES, PICTURES, COMPARE, LAYER_SIMILARITY, AGREE, SUBGROUPS]
CELLS += [PROBE, PROBE_EPOCHS, PROBE_AGREE, COST, SCORES]
