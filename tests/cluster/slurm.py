"""
A Slurm of one node on this machine, from Debian's packages, with pretended GPUs, CPUs and memory.

Everything lies in one folder, but for links in /etc/slurm: the executor takes SLURM_CONF out of the environment of its
job steps. Memory limits are real: a step that takes more than it asked for is killed. Limits of time are far: the
machine may be busy with other work.
"""

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from waits import FAR, until

FOLDER = Path(tempfile.gettempdir()) / "mettle-slurm"
ETC = Path("/etc/slurm")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue")
GPUS, CPUS, MEMORY = 8, 64, 512_000
HOST = socket.gethostname().split(".")[0]

CONF = f"""
ClusterName=mettle
SlurmctldHost={HOST}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={FOLDER}/run/munge
CredType=cred/munge
SlurmctldPort=26817
SlurmdPort=26818
StateSaveLocation={FOLDER}/state
SlurmdSpoolDir={FOLDER}/spool
SlurmctldPidFile={FOLDER}/run/slurmctld.pid
SlurmdPidFile={FOLDER}/run/slurmd.pid
SlurmctldLogFile={FOLDER}/log/slurmctld.log
SlurmdLogFile={FOLDER}/log/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
MinJobAge=3600
KillWait=100
SlurmctldTimeout=3600
SlurmdTimeout=3600
MessageTimeout=100
TCPTimeout=100
BatchStartTimeout=1000
UnkillableStepTimeout=1000
ReturnToService=2
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
NodeName={HOST} NodeAddr=127.0.0.1 CPUs={CPUS} RealMemory={MEMORY} Gres=gpu:pretended:{GPUS} Feature=fast,big
PartitionName=DEFAULT Nodes={HOST} State=UP MaxTime=7-00:00:00 DefMemPerCPU=500
PartitionName=cpu Default=YES PriorityTier=10
PartitionName=gpu PriorityTier=10
PartitionName=low PriorityTier=1
"""
FILES = {
    "slurm.conf": CONF,
    "gres.conf": f"NodeName={HOST} Name=gpu Type=pretended File={FOLDER}/dev/gpu[0-{GPUS - 1}]\n",
    "cgroup.conf": "CgroupAutomount=no\n",
}


def reason_against():
    """Why there can be no Slurm here; nothing if there can."""
    if missing := [name for name in PROGRAMS if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")]:
        return f"needs Debian's packages munge, slurmctld, slurmd and slurm-client ({', '.join(missing)} not found)"
    if os.geteuid() != 0:
        return "needs root, as which the daemons of Slurm run"
    if any((ETC / name).exists() and not _ours(ETC / name) for name in FILES):
        return f"{ETC} has a configuration that is not of these tests"
    return ""


def _ours(path):
    return path.is_symlink() and path.readlink().is_relative_to(FOLDER)


# Its life


@contextmanager
def running():
    """Context in which there is a Slurm, shared with other processes in the same context."""
    FOLDER.mkdir(mode=0o755, exist_ok=True)
    with _users() as users:
        if not users:
            start()
        users.add(os.getpid())
    try:
        yield
    finally:
        with _users() as users:
            users.discard(os.getpid())
            if not users:
                stop()


@contextmanager
def _users():
    """Processes that use it, for one process at a time to change; those that have ended are left out."""
    with (FOLDER / "users").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        users = {int(line) for line in file if Path(f"/proc/{line.strip()}").exists()}
        yield users
        file.seek(0)
        file.truncate()
        file.writelines(f"{pid}\n" for pid in users)


@contextmanager
def preempting():
    """Context for one test at a time: a job of a partition that comes first could end that of another test."""
    with (FOLDER / "preempting").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def start():
    stop()
    for name in ("etc", "run", "log", "state", "spool", "dev"):
        (FOLDER / name).mkdir(mode=0o755, exist_ok=True)
    for number in range(GPUS):  # slurmd wants character devices; these are like /dev/null
        device = FOLDER / "dev" / f"gpu{number}"
        if not device.exists():
            os.mknod(device, 0o20666, os.makedev(1, 3))
    ETC.mkdir(exist_ok=True)
    for name, text in FILES.items():
        (FOLDER / "etc" / name).write_text(text)
        (ETC / name).unlink(missing_ok=True)
        (ETC / name).symlink_to(FOLDER / "etc" / name)
    key = FOLDER / "etc" / "munge.key"
    if not key.exists():
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
    run = FOLDER / "run"
    munged = ["--force", f"--key-file={key}", f"--socket={run}/munge", f"--pid-file={run}/munged.pid"]
    daemon("munged", *munged, f"--log-file={FOLDER}/log/munged.log", f"--seed-file={FOLDER}/etc/munge.seed")
    until("munged answers", lambda: asked("munge", "-n", "-S", f"{run}/munge", check=False).returncode == 0)
    daemon("slurmctld", "-c")
    until("slurmctld answers", lambda: "UP" in asked("scontrol", "ping", check=False).stdout)
    daemon("slurmd")
    until("the node is idle", lambda: "idle" in asked("sinfo", "-h", "-o", "%T", check=False).stdout)


def daemon(name, *arguments):
    program = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    with (FOLDER / "log" / f"{name}.out").open("a") as output:
        subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True)


def stop():
    """End the daemons that the folder's pid files name, and take the links away."""
    if _pid("slurmctld"):
        asked("scancel", "--user=root", check=False)
        until("no job is left", lambda: not jobs(("RUNNING", "COMPLETING", "PENDING")))
    for name in ("slurmd", "slurmctld", "munged"):
        if pid := _pid(name):
            os.kill(pid, signal.SIGTERM)
            until(f"{name} has ended", lambda pid=pid: not Path(f"/proc/{pid}").exists())
    for name in FILES:
        if _ours(ETC / name):
            (ETC / name).unlink()


def _pid(name):
    """Process of a daemon of ours, if it runs."""
    file = FOLDER / "run" / f"{name}.pid"
    pid = file.read_text().strip() if file.exists() else ""
    command = Path(f"/proc/{pid}/cmdline")
    return int(pid) if pid and command.exists() and name in command.read_text() else None


# What it says


def asked(*command, check=True):
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=FAR)


def jobs(states=None, folder=None):
    """What Slurm knows of each job, by key of `scontrol show jobs`: of some states, of those submitted in a folder."""
    text = asked("scontrol", "-o", "show", "jobs", check=False).stdout
    found = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in text.splitlines() if line.startswith("JobId=")]
    found = [job for job in found if states is None or job["JobState"] in states]
    return [job for job in found if folder is None or Path(job["WorkDir"]) == Path(folder)]
