"""How long a job may take before it is given up."""

from __future__ import annotations

from workers.protocol.kinship_orders import KinshipInquiry
from workers.protocol.messages import BenchmarkInquiry, Job
from workers.protocol.prompt_orders import PromptOrder, SampleOrder
from workers.protocol.task_orders import TaskInquiry, TaskSearch

INQUIRY_SECONDS = 1800.0  # a benchmark's items may have to be downloaded
KINSHIP_SECONDS = 7200.0  # all tensors of all parents are read
ORDER_SECONDS = 86400.0  # checkpoints are written, and uploaded


def seconds_for(job: Job) -> float:
    """Returns how many seconds a job may take, its waiting for its turn included."""
    if isinstance(job, PromptOrder | SampleOrder):
        return job.seconds
    if isinstance(job, BenchmarkInquiry | TaskSearch | TaskInquiry):
        return INQUIRY_SECONDS
    return KINSHIP_SECONDS if isinstance(job, KinshipInquiry) else ORDER_SECONDS
