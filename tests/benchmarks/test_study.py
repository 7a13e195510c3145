"""The study's books: what is trained when, what is kept, and what is drawn of it."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.study import charts, page, scale, sources
from benchmarks.study.cells import Question, Variant, in_order, key_of
from benchmarks.study.questions import questions
from benchmarks.study.results import Results
from cultivar_client.spec import spec_from_mapping

SCALES = {"small": scale.SMALL, "large": scale.LARGE}
QUESTION = Question(
    key="modes",
    title="Which?",
    variants=(
        Variant(label="first", spec={"epochs": 2}, seeds=2),
        Variant(label="second", spec={"epochs": 2, "batch_size": 8}, seeds=2),
    ),
)


def training(variant: Variant, seed: int, accuracy: float | None) -> dict[str, Any]:
    [cell] = [
        cell for cell in in_order([Question(key="modes", title="", variants=(variant,))]) if cell.spec["seed"] == seed
    ]
    epochs = [
        {
            "epoch": number,
            "step": 4 * number,
            "learning_rate": 0.1,
            "train_loss": 2.0 / number,
            "val_loss": 2.0 / number,
            "train_accuracy": 0.4 * number,
            "val_accuracy": 0.3 * number,
            "train_seconds": 1.5,
        }
        for number in (1, 2)
    ]
    line = {
        "kind": "training", "cell": cell.id, "key": cell.key, "spec": dict(cell.spec), "epochs": epochs,
        "seconds": 60.0, "cpu_seconds": 30.0, "python": "3.11", "torch": "2", "best_epoch": 2,
    }  # fmt: skip
    if accuracy is None:
        return {**line, "state": "FAILED", "error": "LOSS_NOT_FINITE", "epochs": []}
    return {**line, "state": "SUCCEEDED", "val": {"accuracy": accuracy}}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    found = Results(path=tmp_path / "results.jsonl")
    for variant, values in zip(QUESTION.variants, ((0.5, 0.6), (0.8, 0.7)), strict=True):
        for seed, value in enumerate(values):
            found.add(training(variant, seed, value))
    return found


@pytest.mark.parametrize("size", SCALES.values(), ids=SCALES)
def test_every_cell_is_asked_for_once_and_its_spec_is_one(size: scale.Scale) -> None:
    cells = in_order(questions(size))

    assert max(Counter(cell.id for cell in cells).values()) == 1
    assert max(Counter(cell.key for cell in cells).values()) == 1
    for cell in cells:
        assert spec_from_mapping(cell.spec).seed == cell.spec["seed"]


def test_first_seeds_come_first_and_what_is_timed_comes_last() -> None:
    timed = Question(key="timed", title="", timed=True, variants=(Variant(label="a", spec={"epochs": 9}, seeds=2),))

    ids = [cell.id for cell in in_order([timed, QUESTION])]

    assert ids == [
        "modes/first/seed-0", "modes/second/seed-0", "modes/first/seed-1", "modes/second/seed-1",
        "timed/a/seed-0", "timed/a/seed-1",
    ]  # fmt: skip
    assert [cell.id for cell in in_order([QUESTION], 1)] == ids[:2]


def test_two_questions_share_a_training_that_both_ask_for() -> None:
    other = Question(key="other", title="", variants=(Variant(label="same", spec={"epochs": 2}, seeds=3),))

    ids = [cell.id for cell in in_order([QUESTION, other])]

    assert [one for one in ids if one.startswith("other")] == ["other/same/seed-2"]


def test_what_is_in_the_file_is_not_trained_again(results: Results) -> None:
    again = Results.read(results.path)

    assert all(again.training(cell.key) for cell in in_order([QUESTION]))
    assert again.training("0" * 16) is None


def test_a_line_that_was_cut_off_is_dropped_and_made_again(results: Results) -> None:
    whole = results.path.read_text()
    results.path.write_text(whole[:-20])

    again = Results.read(results.path)
    again.add(training(QUESTION.variants[1], 1, 0.7))

    assert len(again.lines) == 4
    assert results.path.read_text() == whole


def test_the_winner_is_known_when_all_are_trained(results: Results) -> None:
    assert results.winner(QUESTION) is QUESTION.variants[1]

    results.lines.pop()

    assert results.winner(QUESTION) is None


def test_tables_show_the_spread_and_differences_seed_by_seed(results: Results) -> None:
    results.add({"kind": "test", "key": results.runs(QUESTION.variants[1])[0]["key"], "test": {"accuracy": 0.75}})

    text = page.table(QUESTION, results)

    assert "| first | 0.550 ± 0.071 |  | 0.800 | 2, 2 | 8 | 3 | 2 |" in text
    assert "| **second** | 0.750 ± 0.071 | +0.200 ± 0.141 | 0.800 | 2, 2 | 8 | 3 | 2 |" in text
    assert text.endswith("Test accuracy of the winner, second: 0.750.")


def test_a_training_that_failed_is_told_of(tmp_path: Path) -> None:
    found = Results(path=tmp_path / "results.jsonl")
    found.add(training(QUESTION.variants[0], 0, None))

    text = page.table(QUESTION, found)

    assert "| first | failed: LOSS_NOT_FINITE |  |  |  | 0 | 0 | 1 |" in text
    assert "| second | not run |" in text


def test_only_what_is_between_markers_is_replaced() -> None:
    text = "before\n<!-- a -->\nold\n<!-- /a -->\nafter\n"

    assert page.replaced(text, "a", r"new \1") == "before\n<!-- a -->\nnew \\1\n<!-- /a -->\nafter\n"
    with pytest.raises(ValueError, match="has no <!-- b -->"):
        page.replaced(text, "b", "")


def test_pictures_come_from_the_file_alone(results: Results, tmp_path: Path) -> None:
    picture = tmp_path / "picture.svg"

    assert charts.draw(QUESTION, Results.read(results.path), picture)

    text = picture.read_text()
    assert "validation accuracy (share)" in text
    assert "second" in text
    assert not charts.draw(QUESTION, Results(path=tmp_path / "none"), tmp_path / "none.svg")


def test_flowers_are_drawn_alike_each_time_and_never_twice() -> None:
    members = {species: [("a.tar", f"train/{species}/{number}.jpg") for number in range(12)] for species in "pq"}

    draw = sources.draw_flowers(members, (6, 3))

    assert draw == sources.draw_flowers(dict(reversed(members.items())), (6, 3))
    assert Counter(place.rpartition("/")[0] for place in draw.values()) == {
        f"{split}/{species}": count for species in "pq" for split, count in zip(sources.SPLITS, (6, 3, 3), strict=True)
    }
    with pytest.raises(ValueError, match="12 images"):
        sources.draw_flowers(members, (7, 3))


def test_the_committed_results_are_of_this_study() -> None:
    found = Results.read(Path(__file__).parents[2] / "docs/study/results.jsonl")
    known = {cell.key for cell in in_order(questions(scale.SMALL))}

    trained = [line for line in found.lines if line["kind"] == "training"]
    assert trained
    for line in trained:
        assert line["key"] == key_of(line["spec"])
        assert line["key"] in known
