"""Runs one command as a process of its own and prints what it took, as JSON.

By itself and without imports of ours, because a child's peak memory counts from the fork: it would be the
parent's where the parent is bigger.
"""

import json
import os
import subprocess
import sys
import time

if __name__ == "__main__":
    output, *command = sys.argv[1:]
    with open(output, "wb") as file:
        begin = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begin
    json.dump(
        {
            "exit_code": os.waitstatus_to_exitcode(status),
            "wall_seconds": wall,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "peak_megabytes": usage.ru_maxrss / 1024,
        },
        sys.stdout,
    )
