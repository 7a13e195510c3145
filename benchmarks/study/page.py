"""Writes the study's tables and pictures into docs/study.md, between markers; the words around them stay."""

import re
from collections.abc import Iterable
from pathlib import Path

from benchmarks.study import charts
from benchmarks.study.cells import Question, Variant
from benchmarks.study.results import Figure, Line, Results, accuracy, figure


def write(page: Path, pictures: Path, questions: Iterable[Question], results: Results) -> None:
    """Draw every question's picture and put its table and the totals into the page.

    Raises:
        ValueError: the page lacks a question's markers.
    """
    text = page.read_text()
    for question in questions:
        parts = [table(question, results)]
        picture = pictures / f"{question.key}.svg"
        if charts.draw(question, results, picture):
            parts.append(f"![{question.title}]({picture.relative_to(page.parent)})")
        text = replaced(text, question.key, "\n\n".join(parts))
    page.write_text(replaced(text, "totals", totals(results)))


def replaced(text: str, key: str, content: str) -> str:
    """Return a page with other content between the markers `<!-- KEY -->` and `<!-- /KEY -->`.

    Raises:
        ValueError: it has no such markers.
    """
    begin, end = f"<!-- {key} -->", f"<!-- /{key} -->"
    if begin not in text or end not in text:
        raise ValueError(f"the page has no {begin} ... {end}: add both where {key} belongs")
    return re.sub(f"(?s){begin}.*{end}", lambda _: f"{begin}\n{content}\n{end}", text)


def table(question: Question, results: Results) -> str:
    """Return a question's table: means over seeds with standard deviations of single trainings."""
    lines = [
        "| variant | validation accuracy | against the first | training accuracy | best epoch | updates | seconds "
        "| seeds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    winner = results.winner(question)
    for variant in question.variants:
        runs = results.runs(variant)
        cells = _row(runs, results.runs(question.variants[0])) if runs else ["not run", "", "", "", "", ""]
        name = f"**{variant.label}**" if variant is winner else variant.label
        lines.append(f"| {name} | {' | '.join(cells)} | {len(runs)} |")
    if winner is not None and (tested := _test(winner, results)):
        lines += ["", f"Test accuracy of the winner, {winner.label}: {tested}."]
    return "\n".join(lines)


def totals(results: Results) -> str:
    """Return what the trainings took together."""
    trained = [line for line in results.lines if line["kind"] == "training"]
    seconds, cpu = (sum(line[name] for line in trained) / 60 for name in ("seconds", "cpu_seconds"))
    versions = ", ".join(sorted({f"Python {line['python']}, torch {line['torch']}" for line in trained}))
    return (
        f"{len(trained)} trainings, {seconds:.0f} minutes of wall time, {cpu:.0f} CPU minutes of trainers; {versions}."
    )


def _row(runs: list[Line], baseline: list[Line]) -> list[str]:
    found = accuracy(runs)
    if found is None:
        return [f"failed: {runs[0]['error']}", "", "", "", _updates(runs), _seconds(runs)]
    last = figure([run["epochs"][-1]["train_accuracy"] for run in runs if run["epochs"]])
    best = ", ".join(str(run["best_epoch"]) for run in runs if run["state"] == "SUCCEEDED")
    return [
        str(found),
        _difference(runs, baseline),
        f"{last.mean:.3f}" if last else "",
        best,
        _updates(runs),
        _seconds(runs),
    ]


def _difference(runs: list[Line], baseline: list[Line]) -> str:
    """Return the mean of the differences seed by seed, and their standard deviation."""
    pairs = [
        run["val"]["accuracy"] - other["val"]["accuracy"]
        for run, other in zip(runs, baseline, strict=False)
        if "val" in run and "val" in other
    ]
    found = figure(pairs)
    if found is None or runs is baseline or runs[0]["key"] == baseline[0]["key"]:
        return ""
    spread = f" ± {found.deviation:.3f}" if found.count > 1 else ""
    return f"{found.mean:+.3f}{spread}"


def _updates(runs: list[Line]) -> str:
    return str(runs[0]["epochs"][-1]["step"]) if runs[0]["epochs"] else "0"


def _seconds(runs: list[Line]) -> str:
    """Return the mean seconds that training epochs took, validation and all else left out."""
    found = figure([sum(epoch["train_seconds"] for epoch in run["epochs"]) for run in runs])
    return f"{found.mean:.0f}" if found else ""


def _test(winner: Variant, results: Results) -> Figure | None:
    lines = [results.measured("test", run["key"]) for run in results.runs(winner)]
    return figure([line["test"]["accuracy"] for line in lines if line is not None])
