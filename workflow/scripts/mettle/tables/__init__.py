"""
Parquet tables with a declared schema.

A table is in long form, one row one measurement. Key columns come first and always in the order of `KEYS`.
Descriptions and units are field metadata; what made the file (rule, revision, git commit, config hash, package
versions) is file metadata under the key `mettle` and survives `concat`. Undefined values are null with a reason in
`note`, never NaN.
"""

from mettle.tables.declared import (
    ACCURACY,
    ATTACK,
    COMPARE,
    CONVERGENCE,
    EFFECTIVENESS,
    EPOCHS,
    FIG5,
    FIG7,
    FIG8,
    FIG9,
    FIG10,
    FIG11,
    FIG12,
    KEYS,
    MANIFEST,
    PUBLISHED,
    REPRESENT,
    RESULT,
    SEMANTICS,
    SUBGROUPS,
    TABLES,
    VECTOR,
    Column,
    Table,
    keys,
)
from mettle.tables.files import concat, page, read, vectors, write

__all__ = [
    "ACCURACY",
    "ATTACK",
    "COMPARE",
    "CONVERGENCE",
    "EFFECTIVENESS",
    "EPOCHS",
    "FIG5",
    "FIG7",
    "FIG8",
    "FIG9",
    "FIG10",
    "FIG11",
    "FIG12",
    "KEYS",
    "MANIFEST",
    "PUBLISHED",
    "REPRESENT",
    "RESULT",
    "SEMANTICS",
    "SUBGROUPS",
    "TABLES",
    "VECTOR",
    "Column",
    "Table",
    "concat",
    "keys",
    "page",
    "read",
    "vectors",
    "write",
]
