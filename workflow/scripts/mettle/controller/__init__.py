"""What runs inside Snakemake itself, beside the jobs: the start of a run, its executor, the report's first page."""
