import asyncio
from pathlib import Path

import pytest

from benchmarks.chaos import campaign, report, workload
from benchmarks.chaos.campaign import Campaign


@pytest.mark.slow
def test_twenty_kills_of_service_and_trainers_lose_nothing_and_change_no_bit(tmp_path: Path) -> None:
    wanted = Campaign(
        seed=20,
        kills=20,
        minutes=15,  # a quiet host takes less than four
        gap_s=(3.0, 8.0),
        recipes=workload.chosen(["lenet", "search"]),
        folder=tmp_path,
    )

    outcome = asyncio.run(campaign.run(wanted))

    assert not outcome.violations.found, report.markdown(outcome)
