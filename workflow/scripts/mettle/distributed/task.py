"""A Slurm task of a training: one process of the group, started by `slurm`."""

import json
import logging
import os
import pkgutil
import traceback
from pathlib import Path
from typing import Any

from mettle.distributed.group import ProcessGroup
from mettle.flow import Job


def main(path: str) -> None:
    """Run this task's part of the training that a file describes."""
    found = json.loads(Path(path).read_text())
    with Path(found["log"]).open("a", encoding="utf-8") as log:
        options = found["order"]["options"]
        job, group = Job(**found["job"], log=log), ProcessGroup(_fabric(options, found["nodes"]), options["strategy"])
        try:
            if group.first and (gpus := os.environ.get("CUDA_VISIBLE_DEVICES")):
                job.say(f"CUDA_VISIBLE_DEVICES={gpus} on the first node")
            pkgutil.resolve_name(found["work"])(group, found["order"], job)
        except SystemExit as end:
            # Here too: Slurm may end the job that waits for the tasks before it can say so.
            if group.first and isinstance(end.code, str):
                job.say(end.code)
            raise
        except Exception:
            traceback.print_exc(file=log)
            raise


def _fabric(options: dict[str, Any], nodes: int) -> Any:
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import SLURMEnvironment

    per_node = int(os.environ["SLURM_NTASKS"]) // nodes
    at = {"accelerator": options["accelerator"], "devices": per_node, "num_nodes": nodes}
    fabric = Fabric(**at, strategy="ddp", plugins=[SLURMEnvironment(auto_requeue=False)])
    fabric.launch()
    return fabric
