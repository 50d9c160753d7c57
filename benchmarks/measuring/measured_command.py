"""Runs a command and prints its seconds and peak memory, as JSON.

A process of its own, because a child's peak begins with that of the process that started it.
"""

from __future__ import annotations

import json
import os
import sys
from time import perf_counter

start = perf_counter()
nowhere = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in (1, 2)]
process = os.posix_spawn(sys.argv[1], sys.argv[1:], dict(os.environ), file_actions=nowhere)
_, status, usage = os.wait4(process, 0)
print(json.dumps({"seconds": perf_counter() - start, "peak": usage.ru_maxrss * 1024, "status": status}))
