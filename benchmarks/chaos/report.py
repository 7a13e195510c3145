"""A campaign's outcome as people read it: kills by target and place, what was asked for, what was broken."""

from collections import Counter
from collections.abc import Sequence

from benchmarks.chaos.campaign import Outcome
from benchmarks.chaos.disturber import Target
from benchmarks.chaos.whereabouts import Place


def markdown(outcome: Outcome) -> str:
    """Return the report."""
    parts = [_summary(outcome), _kills(outcome), _jobs(outcome)]
    found = outcome.violations.found
    if found:
        parts.append("\n".join([f"{len(found)} violations:", *(f"- {one.promise}: {one.text}" for one in found)]))
    else:
        parts.append("No violations.")
    return "\n\n".join(parts)


def _summary(outcome: Outcome) -> str:
    campaign, customer = outcome.campaign, outcome.customer
    ended = [order.job for order in customer.jobs if order.job is not None]
    starts = sorted(outcome.disturber.starts_s)
    resumed = [
        event.training_resumed
        for order in customer.jobs
        for event in order.events
        if event.HasField("training_resumed")
    ]
    steps = sum(one.step for one in resumed)
    rows = {
        "seed": str(campaign.seed),
        "minutes": f"{outcome.seconds / 60:.1f}",
        "kills": str(len(outcome.disturber.struck)),
        "jobs": f"{len(ended)} ended of {len(customer.jobs)}, {sum(order.creates for order in customer.jobs)} creates",
        "attempts": str(sum(job.attempt for job in ended)),
        "resumed from a checkpoint": f"{len(resumed)} times, {steps} updates not made again",
        "imports": f"{sum(bool(one.digest) for one in customer.imports)} READY of {len(customer.imports)}, "
        f"{sum(one.lost for one in customer.imports)} lost with their trainer",
        "looks at all models": f"{outcome.inspector.looks}, {outcome.inspector.predictions} predictions",
        "service SERVING after": f"{starts[len(starts) // 2]:.1f} s, at most {starts[-1]:.1f} s" if starts else "-",
    }
    return _table(("what", "value"), list(rows.items()))


def _kills(outcome: Outcome) -> str:
    struck = outcome.disturber.struck
    counts = Counter((one.place, one.target) for one in struck)
    aimed = Counter(one.place for one in struck if one.aimed)
    rows = []
    for place in Place:
        by_target = [counts[place, target] for target in Target]
        if sum(by_target):
            rows.append((place, *map(str, by_target), str(sum(by_target)), str(aimed[place])))
    totals = [sum(counts[place, target] for place in Place) for target in Target]
    rows.append(("all", *map(str, totals), str(len(struck)), str(sum(aimed.values()))))
    return _table(("killed during", *Target, "all", "aimed"), rows)


def _jobs(outcome: Outcome) -> str:
    rows = []
    for recipe in outcome.campaign.recipes:
        orders = [order for order in outcome.customer.jobs if order.recipe is recipe]
        jobs = [order.job for order in orders if order.job is not None]
        same = sum(order.result == outcome.undisturbed.results[recipe.name] for order in orders)
        rows.append(
            (
                recipe.name,
                f"{outcome.undisturbed.seconds[recipe.name]:.0f}",
                str(len(orders)),
                str(sum(job.attempt for job in jobs)),
                str(same),
            )
        )
    return _table(("recipe", "undisturbed s", "jobs", "attempts", "identical results"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are figures."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
