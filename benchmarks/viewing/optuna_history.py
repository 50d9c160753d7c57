"""Runs inside Optuna's environment: writes a finished study of any length into an SQLite file, by its tables.

python -m benchmarks.viewing.optuna_history FILE TRIALS OBJECTIVES
"""

from __future__ import annotations

import json
import sqlite3
import sys

import numpy as np
import optuna

GENES = 8
MOMENT = "2026-01-01 00:00:00.000000"
_DISTRIBUTION = json.dumps(
    {"name": "FloatDistribution", "attributes": {"step": None, "low": 0.0, "high": 1.5, "log": False}}
)


def main() -> None:
    """Creates the study by Optuna, and its trials by their tables: one by one takes an hour."""
    file, trials, objectives = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    optuna.create_study(study_name="long", storage=f"sqlite:///{file}", directions=["maximize"] * objectives)
    rng = np.random.default_rng(0)
    numbers = range(1, trials + 1)
    with sqlite3.connect(file) as database:
        database.executemany(
            "insert into trials (trial_id, number, study_id, state, datetime_start, datetime_complete)"
            " values (?, ?, 1, 'COMPLETE', ?, ?)",
            ((n, n - 1, MOMENT, MOMENT) for n in numbers),
        )
        database.executemany(
            "insert into trial_values (trial_id, objective, value, value_type) values (?, ?, ?, 'FINITE')",
            ((n, k, float(rng.normal(0.6, 0.1))) for n in numbers for k in range(objectives)),
        )
        database.executemany(
            "insert into trial_params (trial_id, param_name, param_value, distribution_json)"
            " values (?, ?, ?, ?)",
            (
                (n, f"gene {k}", float(rng.uniform(0, 1.5)), _DISTRIBUTION)
                for n in numbers
                for k in range(GENES)
            ),
        )


if __name__ == "__main__":
    main()
