"""Several processes that train one model: on the GPUs of a machine, or in tasks of Slurm on several."""

from mettle.distributed.course import TrainingFiles, ordered, take
from mettle.distributed.group import ProcessGroup, portion
from mettle.distributed.launch import ALONE, run

__all__ = ["ALONE", "ProcessGroup", "TrainingFiles", "ordered", "portion", "run", "take"]
