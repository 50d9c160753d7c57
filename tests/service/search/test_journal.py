from __future__ import annotations

from uuid import uuid4

from search_spaces import Infeasible
from service.experiment.candidate import Candidate, FitnessRecord, Timings
from service.search.journal import ControlRequest, GenerationSummary, ListJournal
from workers.protocol.failure import Failure
from workers.protocol.messages import Failed

PROGRESS = GenerationSummary(0, 2, 0.5, 1, 0.25, (0, 1))


def test_a_list_remembers_like_a_database() -> None:
    journal = ListJournal()
    candidates = [Candidate(uuid4(), n, 1, (0.1,), Infeasible("no")) for n in range(3)]
    journal.proposed([candidates[1], candidates[0]])
    journal.proposed([candidates[2]])
    failed = Failed(candidates[0].id, 1, Failure("x", "y", "z"))
    journal.settled(candidates[0], failed, Timings())
    journal.told([FitnessRecord(1), FitnessRecord(0)], PROGRESS, 0.0)
    journal.told([FitnessRecord(2)], PROGRESS, 0.0)
    recalled = journal.recall()
    assert [each.candidate for each in recalled] == candidates
    assert [each.outcome for each in recalled] == [failed, None, None]
    assert [each.told for each in recalled] == [1, 0, 2]
    assert journal.progress == [PROGRESS, PROGRESS]


def test_a_list_requests_what_it_is_told_to() -> None:
    journal = ListJournal()
    assert journal.control_request() is None
    journal.requested = ControlRequest.PAUSE
    assert journal.control_request() is ControlRequest.PAUSE
