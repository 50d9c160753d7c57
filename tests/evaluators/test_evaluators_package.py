from __future__ import annotations

import subprocess
import sys

from tests.conftest import REPOSITORY


def test_importing_evaluators_imports_neither_torch_nor_lm_eval() -> None:
    program = (
        "import sys, evaluators, evaluators.errors\n"
        "heavy = {'torch', 'lm_eval', 'transformers', 'datasets'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY, timeout=60)


def test_the_registered_evaluator_is_lm_eval() -> None:
    from evaluators.lm_eval.harness import Harness  # imports torch
    from evaluators.registry import EVALUATORS

    assert EVALUATORS["lm_eval"] is Harness
