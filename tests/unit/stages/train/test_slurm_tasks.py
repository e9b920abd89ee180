"""A training across tasks of Slurm, started by a stand-in for srun that runs them on this machine."""

import os
import socket

import pytest
from trainings import ADVERSARIAL, SGD, differing, files, recipe, result, row, train

from jobs import Job
from mettle.distributed.slurm import run

# Runs its command as many times as there are tasks, each with the variables that Slurm gives it.
SRUN = """
#!/usr/bin/env python3
import os, subprocess, sys
options = dict(word.lstrip("-").split("=") for word in sys.argv[1:] if word.startswith("--"))
command = [word for word in sys.argv[1:] if not word.startswith("--")]
n, each = int(options["ntasks"]), int(options["ntasks-per-node"])
about = {"SLURM_NTASKS": n, "SLURM_NTASKS_PER_NODE": each, "SLURM_NODELIST": "localhost"}
started = []
for rank in range(n):
    mine = about | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank % each, "SLURM_NODEID": rank // each}
    env = os.environ | {key: str(value) for key, value in mine.items()}
    started.append(subprocess.Popen(command, env=env))
sys.exit(max(process.wait() for process in started))
"""


class Logged(Job):
    """Asks for two tasks, with a log that they write into."""

    def __init__(self, path, tasks=2, nodes=1):
        super().__init__()
        self.rule, self.tasks, self.nodes, self.log = "train", tasks, nodes, path.open("a")


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "srun"
    program.parent.mkdir()
    program.write_text(SRUN.lstrip())
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with socket.socket() as free:  # else the port follows from the id of the job, and another test's is the same
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MASTER_PORT", str(free.getsockname()[1]))


@pytest.mark.parametrize(("nodes", "strategy"), [(1, "ddp"), (2, "ddp"), (2, "fsdp")])
def test_two_tasks_on_one_node_or_two_train_the_model_of_one_process(slurm, stores, tmp_path, nodes, strategy):
    # A small learning rate: rounding errors grow with every step, through BatchNorm of few images above all.
    options = recipe(**ADVERSARIAL, optimizer=SGD | {"lr": 0.002})
    job = Logged(tmp_path / "log", nodes=nodes)
    train(row(), options, files(stores, tmp_path / "tasks"), job, {"strategy": strategy})
    assert "processes 2" in (tmp_path / "log").read_text()
    train(row(), options, files(stores, tmp_path / "one"), Job())
    (found, epochs), (expected, alone) = result(tmp_path / "tasks"), result(tmp_path / "one")
    assert list(found) == list(expected) and epochs["n"].tolist() == alone["n"].tolist()
    for key in differing(found, expected):
        assert (found[key] - expected[key]).abs().max() < 1e-3 * (1 + expected[key].abs().max()), key


def test_a_task_that_fails_is_said_with_its_traceback_in_the_log(slurm, stores, tmp_path):
    job = Logged(tmp_path / "log")
    with pytest.raises(RuntimeError, match=r"^a task of the training failed \(srun ended with 1\)$"):
        train(row(), recipe(batch_size=1), files(stores, tmp_path / "tasks"), job)
    assert "ValueError: " in (tmp_path / "log").read_text()
    assert not (tmp_path / "tasks" / "weights.safetensors").exists()


def test_tasks_need_slurm_and_spread_evenly(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(ValueError, match=r"^2 tasks need Slurm: take `tasks` of rule train out of the profile$"):
        run("here:work", {}, Logged(tmp_path / "log"))
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with pytest.raises(ValueError, match=r"^3 tasks do not spread evenly over 2 nodes: change the profile$"):
        run("here:work", {}, Logged(tmp_path / "log", tasks=3, nodes=2))
