"""Tables and their columns, and those that many tables share: keys, always in this order, and the result."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """Type and meaning of a column.

    Attributes
    ----------
    type : of its cells
    text : what they mean
    unit : empty for names and plain counts
    nullable : whether a cell may be null
    ragged : whether its lists differ in length
    """

    type: pa.DataType
    text: str
    unit: str = ""
    nullable: bool = False
    ragged: bool = False

    @property
    def is_vector(self) -> bool:
        """Whether all rows have as many numbers as the first; stored as a fixed-size list."""
        return pa.types.is_list(self.type) and pa.types.is_primitive(self.type.value_type) and not self.ragged


@dataclass(frozen=True)
class Table:
    """Name, one-line description, and columns in order; `extends` names the table whose columns it also has."""

    name: str
    text: str
    columns: Mapping[str, Column]
    extends: str = ""


META = b"mettle"  # key of the file metadata with the table's name and provenance

STR, INT, FLOAT, BOOL, BINARY = pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.binary()
VECTOR, CLASSES = pa.list_(pa.float32()), pa.list_(pa.int32())

KEYS = {
    "dataset": Column(STR, "data set, a row of datasets.tsv"),
    "images": Column(STR, "image set: `natural` (held out), `train`, or `inverted-{model}`"),
    "split": Column(STR, "part of the data set"),
    "subgroup": Column(STR, "images of a pair of models on which the score was computed, see `subgroups`"),
    "model": Column(STR, "model, by its name in the sheet"),
    "model_b": Column(STR, "the other model of the pair"),
    "layer": Column(STR, "layer whose output was compared"),
    "task": Column(STR, "task"),
    "mode": Column(STR, "mode of transfer"),
    "attack": Column(STR, "attack, a key of `attacks` in the configuration; `clean` for none"),
    "norm": Column(STR, "norm of the ball: `l1`, `l2`, `linf` or `linf_normalised`", nullable=True),
    "eps": Column(FLOAT, "radius of the ball", "pixel range [0, 1]", nullable=True),
    "corruption": Column(STR, "type of corruption; `clean` for none"),
    "severity": Column(INT, "severity of the corruption, 1 to 5; 0 for none"),
    "measure": Column(STR, "what was measured"),
    "id": Column(INT, "image, the key in the data set's store"),
}
RESULT = {
    "n": Column(INT, "number of images (or pairs) that the value is computed from"),
    "value": Column(FLOAT, "the measurement", nullable=True),
    "lo": Column(FLOAT, "lower end of the interval named in the table's description", nullable=True),
    "hi": Column(FLOAT, "upper end of that interval", nullable=True),
    "note": Column(STR, "why a value is missing, or a warning; null if there is neither", nullable=True),
}


def keys(*names: str) -> dict[str, Column]:
    """Key columns of these names, in the order all tables share."""
    return {name: KEYS[name] for name in KEYS if name in names}
