"""Found by `snakemake` in this folder; the workflow itself is workflow/Snakefile, where modules and the catalogue look for it."""


include: "workflow/Snakefile"


rule default:
    """What rule `all` asks for: Snakemake's default target is a rule of the main file, not of an included one."""
    input:
        rules.all.input,
