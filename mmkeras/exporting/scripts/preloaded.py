"""Imports modules once, then runs each script that it is sent in a fork of itself.

Arguments: JSON with `modules`, and `hidden`, names of modules that cannot be imported.

A request is a line of JSON on the standard input: `script`, `arguments`, `folder` to run in, and `log`, the file for
its output. The answers are two lines: the number of the process when it runs, its exit code when it has ended.
The standard input is a pipe: it ends when its other side does, however that comes about, and the script with it.
"""

import contextlib
import importlib
import json
import os
import runpy
import select
import sys
import threading
import traceback

IDLE_SECONDS = 60  # without a request; then this process ends


def run(request):
    """Runs a script and ends this process as Python would."""
    os.close(answers)
    threading.Thread(target=end_with_client, daemon=True).start()
    os.chdir(request["folder"])
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = [request["script"], *request["arguments"]]
    code = 1
    try:
        runpy.run_path(request["script"], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # at once: what the modules would do at their end belongs to the process that imported them


def end_with_client():
    os.read(0, 1)  # nothing is sent while a script runs
    os._exit(1)


def answer(number):
    os.write(answers, f"{number}\n".encode())


setup = json.loads(sys.argv[1])
answers = os.dup(1)
os.dup2(2, 1)  # what an import prints is no answer
sys.modules.update(dict.fromkeys(setup["hidden"]))
for module in setup["modules"]:
    importlib.import_module(module)
requests = open(0, "rb", buffering=0)
while select.select([requests], [], [], IDLE_SECONDS)[0] and (line := requests.readline()):
    process = os.fork()
    if process == 0:
        run(json.loads(line))
    answer(process)
    answer(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
