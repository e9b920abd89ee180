"""Shared by all rule files: the plan made from configuration and sheets, and the names a path level may take."""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "workflow" / "scripts"))

from mettle import overview
from mettle.plan import Plan

try:
    PLAN = Plan(config)
except ValueError as error:
    raise WorkflowError(str(error)) from None


wildcard_constraints:
    dataset=PLAN.pattern(PLAN.datasets),
    split=PLAN.pattern(PLAN.splits),
    model=PLAN.pattern(PLAN.models),
    images=PLAN.image_sets,
    groups="agreement|correctness|confidence",
    attack=PLAN.pattern(PLAN.attacks),
    kind="perturbation|adversarial",
    measure=PLAN.pattern(PLAN.measures),
