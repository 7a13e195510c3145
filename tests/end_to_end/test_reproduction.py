"""A version of the real trainer is made again, through the command."""

import json

import pytest
from end_to_end_service import RunningService


@pytest.mark.slow
def test_a_version_is_reproduced_bit_for_bit_and_makes_no_other(service: RunningService) -> None:
    before = json.loads(service.cultivar("models show flowers --json"))

    told = service.cultivar("reproduce flowers/versions/1")

    assert told.splitlines()[-1].startswith("models/flowers/versions/1 was reproduced bit for bit")
    assert "same    weights" in told
    assert json.loads(service.cultivar("models show flowers --json")) == before
