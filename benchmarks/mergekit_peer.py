"""Runs inside mergekit's environment: merges recipes from disk to disk and says how long each took.

Reads one JSON object per line, `{"recipe": FILE, "out": FOLDER}`, and answers `{"seconds": ...}`.
Uses mergekit's public function and its fastest documented settings for a CPU.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from time import perf_counter

# The protocol owns the real standard output; whatever the library prints goes to standard error.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def main() -> None:
    """Answers until standard input ends."""
    import torch
    import yaml
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    torch.set_num_threads(int(os.environ.get("BENCH_THREADS", os.cpu_count() or 1)))
    for line in sys.stdin:
        request = json.loads(line)
        shutil.rmtree(request["out"], ignore_errors=True)
        config = MergeConfiguration.model_validate(yaml.safe_load(Path(request["recipe"]).read_text()))
        options = MergeOptions(quiet=True, copy_tokenizer=False, write_model_card=False, lazy_unpickle=True)
        start = perf_counter()
        run_merge(config, request["out"], options)
        ANSWERS.write(json.dumps({"seconds": perf_counter() - start}) + "\n")
        ANSWERS.flush()


if __name__ == "__main__":
    main()
