"""Commands beside Snakemake: `python -m mettle.commands.NAME`, as `make` does."""
