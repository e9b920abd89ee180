"""Shared by all rule files: the configuration, the plan made from it and the sheets, and the names that paths may have."""

import sys
from pathlib import Path

from snakemake.dag import DAG
from snakemake.exceptions import WorkflowError

# `current_basedir`: where another workflow has ours as a module, `workflow.basedir` is that of the other.
SCRIPTS = workflow.current_basedir.join("../scripts")
if not SCRIPTS.is_local:
    # On GitHub or GitLab, from where Snakemake fetches scripts, but nothing that they import.
    listed = ["-r", "--name-only", SCRIPTS.ref, "config", "resources", "workflow"]
    for path in SCRIPTS.hosted_repo.repo.git.ls_tree(*listed).splitlines():
        workflow.sourcecache.get_path(SCRIPTS.join("../..").join(path))
    SCRIPTS = Path(workflow.sourcecache.get_path(SCRIPTS.join("prep.py"))).parent
sys.path.insert(0, str(SCRIPTS))

from mettle import files
from mettle.controller import begin, overview, stored
from mettle.plan import Asked, Plan, check_targets, images_of, manifests_of, uncounted
from mettle.plan.overlay import sentence


configfile: str(files.locate("config/config.yaml"))


try:
    PLAN = Plan(config, workflow)
    if workflow.is_main_process:
        check_targets(PLAN, sys.argv[1:])
except ValueError as error:
    raise WorkflowError(sentence(error, workflow.overwrite_configfiles)) from None
ASKED = Asked(PLAN, workflow)


pathvars:
    results=PLAN.results,
    logs=PLAN.logs,
    benchmarks=PLAN.benchmarks,


begin.python_by_name()
stored.results_alone(workflow.modifier.path_modifier, PLAN.results, local)
# Wildcards that `--dag` shows: Snakemake leaves out those that an earlier job also has, so that models look the same.
DAG.new_wildcards = overview.all_wildcards


wildcard_constraints:
    dataset=PLAN.pattern(PLAN.datasets),
    split=PLAN.pattern(PLAN.splits),
    model=PLAN.pattern(PLAN.models),
    set=PLAN.pattern(PLAN.sets),
    images=PLAN.image_sets,
    groups="agreement|correctness|confidence",
    attack=PLAN.pattern(PLAN.attacks),
    drift=PLAN.pattern(PLAN.drifts),
    kind="perturbation|adversarial",
    measure=PLAN.pattern(PLAN.measures),
