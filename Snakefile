"""mettle: four studies of visual robustness as targets of one workflow. Rules by stage are in workflow/rules."""


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


# Only with `--sdm conda apptainer`: the conda environments are then made and used inside this image.
container: "docker://condaforge/miniforge3:25.3.0-3"


include: "workflow/rules/common.smk"


onstart:
    from mettle.flow.begin import begin

    begin()


rule all:
    """Every figure and table that the configuration lists; in a report, those that have been made."""
    input:
        overview.targets(PLAN.targets(), sys.argv),


include: "workflow/rules/download.smk"
include: "workflow/rules/prep.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/attack.smk"
include: "workflow/rules/invert.smk"
include: "workflow/rules/represent.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/probe.smk"
include: "workflow/rules/tabulate.smk"
include: "workflow/rules/plot.smk"
include: "workflow/rules/publish.smk"
