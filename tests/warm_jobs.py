"""
Scripts of jobs that need not import torch: one process imports it, and a copy of that process runs each script.

As with `warm`, nothing of mettle is imported before. What Snakemake starts in place of Python is the part below
`_ask`: it hands its files, folder and environment to the server, passes signals on, and ends as the script does.

    python -IS tests/warm_jobs.py SOCKET SCRIPT
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path

IMPORTED = ("torch", "timm", "pandas", "scipy.stats", "pyarrow.parquet", "PIL.Image", "lmdb", "safetensors.torch")
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _ask(path, arguments):
    """Have a script run; its exit status, negative for a signal."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        request = {"arguments": arguments, "cwd": str(Path.cwd()), "env": dict(os.environ)}
        socket.send_fds(server, [b"."], [0, 1, 2])
        server.sendall(json.dumps(request).encode())
        server.shutdown(socket.SHUT_WR)
        answers = server.makefile()
        job = int(answers.readline())
        for number in _PASSED_ON:
            signal.signal(number, lambda number, frame: os.kill(job, number))
        return int(answers.readline())


def _serve(path):
    """In a copy for a request, the request; None once the standard input is closed."""
    import select

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        print("ready", flush=True)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            if sys.stdin in select.select([listener, sys.stdin], [], [])[0]:
                return None
            connection, _ = listener.accept()
            if os.fork() == 0:
                break
            connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return _copied(connection)


def _copied(connection):
    """In another copy the request; this one tells the client how that one ends, and ends it with the client."""
    import select

    _, files, *_ = socket.recv_fds(connection, 1, 3)
    request = json.loads(b"".join(iter(lambda: connection.recv(1 << 16), b"")))
    if (job := os.fork()) == 0:
        connection.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        return request
    for file in files:
        os.close(file)
    connection.sendall(f"{job}\n".encode())
    hung_up, ended = select.poll(), os.pidfd_open(job)
    hung_up.register(connection, select.POLLHUP)
    hung_up.register(ended, select.POLLIN)
    if ended not in dict(hung_up.poll()):
        os.kill(job, signal.SIGKILL)  # as one kills a group of processes
    code = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
    try:
        connection.sendall(f"{code}\n".encode())
    finally:
        os._exit(0)


def _become(request):
    """Be what `python SCRIPT` would have started."""
    import runpy
    import tempfile

    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    tempfile.tempdir = None  # which follows from the environment
    script, *_ = sys.argv = request["arguments"]
    sys.path[:0] = [str(Path(script).parent), *filter(None, os.environ.get("PYTHONPATH", "").split(":"))]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        status = _ask(sys.argv[1], sys.argv[2:])
        if status < 0:
            signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
        sys.exit(status)
    place = sys.argv[1]
    sys.path.pop(0)  # this folder
    sys.modules["wandb"] = None  # timm would import it, and it makes a folder that it removes again
    for name in IMPORTED:
        __import__(name)
    del sys.modules["wandb"]
    import gc

    gc.freeze()
    if request := _serve(place):
        _become(request)
