"""
Run a command a number of times; print the cost of each run as JSON.

    cost.py NUMBER COMMAND...

The cost is the exit code, the seconds of CPU time and the KiB of peak memory, of the
command and of the children it waited for.
"""

import json
import os
import sys

runs = []
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606
    _, status, used = os.wait4(child, 0)
    cpu = used.ru_utime + used.ru_stime
    runs.append([os.waitstatus_to_exitcode(status), cpu, used.ru_maxrss])
print(json.dumps(runs))
