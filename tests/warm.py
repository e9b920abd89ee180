"""
Snakemakes that need not import what they consist of: one process imports it, and a copy of that process is each one.

A process of its own as `python -m snakemake` is one, with its folder, environment and arguments; nothing of mettle is
imported before. It reads a request for each from a line, and writes a line with its exit status.
"""

import atexit
import gc
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import types
from functools import cache
from pathlib import Path

import warm_jobs

IMPORTED = ("snakemake.cli", "pandas", "jsonschema", "pyarrow.parquet")


@cache
def _server():
    """The process that is copied, one for each process of the tests, and the socket of the one for scripts of jobs."""
    server = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.communicate)
    folder = tempfile.mkdtemp(prefix="warm")
    atexit.register(shutil.rmtree, folder)
    place = f"{folder}/jobs"
    command = [sys.executable, warm_jobs.__file__, place]
    jobs = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(jobs.communicate)
    assert jobs.stdout.readline() == "ready\n"
    return server, place


def snakemake(arguments, cwd, env, out, err):
    """Exit status of a Snakemake, whose output and errors go into files that these paths name."""
    server, jobs = _server()
    request = {"arguments": arguments, "cwd": str(cwd), "env": env, "out": str(out), "err": str(err), "jobs": jobs}
    print(json.dumps(request), file=server.stdin, flush=True)
    return int(server.stdout.readline())


def _serve():
    """In a copy for a request, the request; None when there are no more."""
    with os.fdopen(os.dup(1), "w") as answers:
        for line in sys.stdin:
            if (pid := os.fork()) == 0:
                return json.loads(line)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=answers, flush=True)
    return None


def _become(request):
    """Be what the command would have started."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, request["out"], os.O_WRONLY | os.O_CREAT)):
        os.dup2(os.open(path, flags), number)
    os.dup2(os.open(request["err"], os.O_WRONLY | os.O_CREAT), 2)
    sys.argv = ["snakemake", *request["arguments"]]
    sys.modules["snakemake.workflow"].Workflow._rundir = request["cwd"]  # which it notes when it is imported
    sys.path.insert(0, request["cwd"])
    _warm(sys.modules["snakemake.script"], request["jobs"])
    runpy.run_module("snakemake", run_name="__main__", alter_sys=True)


def _warm(script, jobs):
    """Let scripts of jobs be run by `warm_jobs`, but for those with an environment of their own."""
    seen = types.SimpleNamespace(**vars(sys))
    seen.executable = f"{sys.executable} -IS {Path(__file__).resolve().with_name('warm_jobs.py')} {jobs}"
    script.sys = seen


if __name__ == "__main__":
    sys.path.pop(0)  # this folder
    for name in IMPORTED:
        __import__(name)
    sys.modules["snakemake.cli"].get_argument_parser()  # which imports every plugin
    gc.freeze()
    if request := _serve():
        _become(request)
