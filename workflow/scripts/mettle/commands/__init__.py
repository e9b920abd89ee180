"""What people run by hand beside Snakemake: `python -m mettle.commands.NAME`, as `make` does."""
