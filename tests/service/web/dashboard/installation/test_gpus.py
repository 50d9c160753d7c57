"""What the driver's program writes of GPUs is read, the unknown as well."""

from __future__ import annotations

from service.web.dashboard.installation.gpus import Gpu, read_gpus


def test_a_line_is_a_gpu_and_what_the_driver_does_not_know_is_none() -> None:
    text = "0, NVIDIA H200, 37, 1024, 143771\n1, GRID A100, [N/A], [N/A], 40960\nsomething else\n"

    assert read_gpus(text) == [
        Gpu(0, "NVIDIA H200", 0.37, 1024.0, 143771.0),
        Gpu(1, "GRID A100", None, None, 40960.0),
    ]
