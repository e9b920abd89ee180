"""Snakemake whose Slurm executor submits a job at once, and looks every second for jobs that have ended.

As released, it lets 5 s pass before it submits a job, and 10 s more after every look that finds none ended.
"""

import sys
from types import SimpleNamespace

import snakemake_executor_plugin_slurm as plugin
from snakemake.cli import main

plugin.time = SimpleNamespace(**vars(plugin.time) | {"sleep": lambda seconds: None})
plugin.Executor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, seconds: None)

if __name__ == "__main__":
    sys.exit(main())
