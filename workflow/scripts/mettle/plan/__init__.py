"""
From configuration to files: which models, cells and figures exist, and the inputs and params of each job.

Imports neither torch nor snakemake, so that a dry run is quick and everything here can be tested on its own.
"""

from mettle.plan.asked import Asked
from mettle.plan.jobs.functions import images_of, manifests_of, uncounted
from mettle.plan.plan import Plan
from mettle.plan.targets import check_targets

__all__ = ["Asked", "Plan", "check_targets", "images_of", "manifests_of", "uncounted"]
