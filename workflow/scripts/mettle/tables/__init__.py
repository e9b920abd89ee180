"""
Parquet tables with a declared schema.

A table is in long form, one row per measurement. Key columns come first and always in the order of `KEYS`.
Descriptions and units are field metadata; what made the file (rule, revision, git commit, config hash, package
versions) is file metadata under the key `mettle` and survives `concat`. Undefined values are null with a reason in
`note`, never NaN.
"""

from mettle.tables.answers import ANSWERS, CORRUPT
from mettle.tables.attacked import ATTACK, ATTACKED
from mettle.tables.cells import (
    ACTIVATIONS,
    AGREE,
    CELLS,
    COMPARE,
    CONVERGENCE,
    COST,
    DENSE_MANIFEST,
    DRIFT,
    EFFECTIVENESS,
    EPOCHS,
    EXAMPLES,
    HEADS,
    INVERTED,
    LAYER_FEATURES,
    LAYER_SIMILARITY,
    MANIFEST,
    PAIRS,
    PERTURBED,
    PICTURES,
    PROBE,
    PROBE_AGREE,
    PROBE_EPOCHS,
    REPRESENT,
    ROBUSTNESS,
    SEMANTICS,
    SHARED_ATTACK,
    SUBGROUPS,
    SUBMISSION,
    SURFACE,
    TOKENS_STEPS,
    TRANSFER_EPOCHS,
)
from mettle.tables.columns import CLASSES, KEYS, RESULT, VECTOR, Column, Table, keys
from mettle.tables.doubts import FLAGS, doubts, doubts_of, together
from mettle.tables.pages import page
from mettle.tables.reading import alike, concat, length, read, read_groups, row_groups, vectors
from mettle.tables.writing import stream, write

__all__ = [
    "ACTIVATIONS",
    "AGREE",
    "ANSWERS",
    "ATTACK",
    "ATTACKED",
    "CELLS",
    "CLASSES",
    "COMPARE",
    "CONVERGENCE",
    "CORRUPT",
    "COST",
    "DENSE_MANIFEST",
    "DRIFT",
    "EFFECTIVENESS",
    "EPOCHS",
    "EXAMPLES",
    "FLAGS",
    "HEADS",
    "INVERTED",
    "KEYS",
    "LAYER_FEATURES",
    "LAYER_SIMILARITY",
    "MANIFEST",
    "PAIRS",
    "PERTURBED",
    "PICTURES",
    "PROBE",
    "PROBE_AGREE",
    "PROBE_EPOCHS",
    "REPRESENT",
    "RESULT",
    "ROBUSTNESS",
    "SEMANTICS",
    "SHARED_ATTACK",
    "SUBGROUPS",
    "SUBMISSION",
    "SURFACE",
    "TOKENS_STEPS",
    "TRANSFER_EPOCHS",
    "VECTOR",
    "Column",
    "Table",
    "alike",
    "concat",
    "doubts",
    "doubts_of",
    "keys",
    "length",
    "page",
    "read",
    "read_groups",
    "row_groups",
    "stream",
    "together",
    "vectors",
    "write",
]
