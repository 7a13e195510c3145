"""Update rules, learning-rate schedules, penalties, clipping, averaged weights."""
