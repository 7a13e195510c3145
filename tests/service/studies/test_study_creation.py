"""What a study may ask for, and what is answered before anything is queued."""

from pathlib import Path
from typing import Any

import pytest
from running_service import Client, make_config, refused, running
from study_requests import RATES, base, create, finished, make_study

from cultivar.v1 import study_pb2, training_pb2
from cultivar.v1 import training_spec_pb2 as pb


async def refusal(client: Client, *args: Any, **fields: Any) -> tuple[str, list[str]]:
    found = await refused(create(client, make_study(*args, **fields)))
    return found.code, found.fields


def changed(name: str, cleared: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    return {"variant": name, "changes": changes, "cleared": list(cleared)}


INVALID = "INVALID_ARGUMENT"


async def test_validate_only_answers_rows_and_warnings_and_queues_nothing(tmp_path: Path) -> None:
    variants = [
        *RATES,
        changed("sgd", optimizer={"kind": "OPTIMIZER_KIND_SGD"}),
        changed("few", data={"max_train_images_per_class": 2}, epochs=4),
    ]
    async with running(make_config(tmp_path)) as (_, client):
        await client.import_flowers()
        study = await create(client, make_study(variants), validate_only=True)
        jobs = (await client.training.ListTrainingJobs(training_pb2.ListTrainingJobsRequest())).training_jobs

    low, high, sgd, few = study.rows
    assert (study.name, study.state, len(study.trials), len(jobs)) == ("", 0, 0, 0)
    assert (low.variant, list(low.changes), low.principle) == ("low", [], "")
    assert list(high.changes) == ["optimizer.learning_rate: 0.001 -> 0.1"]
    assert high.principle.startswith("The learning rate is the length of each step.")
    assert list(sgd.changes) == [
        "optimizer.kind: adamw -> sgd",
        "optimizer.learning_rate: 0.001 -> 0.05 (follows)",
        "optimizer.momentum: none -> 0.9 (follows)",
        "optimizer.nesterov: none -> true (follows)",
        "optimizer.weight_decay: 0.01 -> 0.0005 (follows)",
        "optimizer.weight_decay_form: decoupled -> in-loss (follows)",
    ]  # and not Adam's beta1, beta2 and epsilon, which are gone
    assert "The learning rate is" not in sgd.principle
    assert list(few.changes)[:2] == ["data.max_train_images_per_class: 0 -> 2", "epochs: 2 -> 4"]
    assert "The budgets differ: few may see 4 epochs x 6 images = 24 images, low 2 epochs x 30 images = 60 images." in (
        study.warnings
    )
    assert study.validation_images == "datasets/flowers/versions/1, val 2, 30 images"


async def test_a_variant_can_clear_what_the_base_sets(tmp_path: Path) -> None:
    augmented = base(augmentation={"horizontal_flip": 0.5, "rotation": 10}, loss={"label_smoothing": 0.1})
    variants = [
        changed("all"),
        changed("plain", ("augmentation",)),
        changed("still", ("augmentation.rotation",), augmentation={"zoom": 0.1}),
    ]
    async with running(make_config(tmp_path)) as (_, client):
        await client.import_flowers()
        study = await create(client, make_study(variants, base=augmented), validate_only=True)

    assert list(study.rows[1].changes) == ["augmentation.horizontal_flip: 0.5 -> 0", "augmentation.rotation: 10 -> 0"]
    assert list(study.rows[2].changes) == ["augmentation.rotation: 10 -> 0", "augmentation.zoom: 0 -> 0.1"]


async def test_what_is_no_comparison_is_refused_at_its_fields(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        await client.import_flowers()
        two = list(RATES)

        async def fields(*args: Any, **settings: Any) -> list[str]:
            code, found = await refusal(client, *args, **settings)
            assert code == INVALID
            return found

        assert await fields(two[:1]) == ["spec.variants"]
        assert await fields([changed(str(number), epochs=number + 1) for number in range(33)]) == ["spec.variants"]
        assert await fields(two, seeds=[3, 4, 3]) == ["spec.seeds"]
        assert await fields(two, seeds=list(range(33))) == ["spec.seeds"]
        many = [changed(str(number), epochs=number + 1) for number in range(30)]
        assert await fields(many, seeds=list(range(9))) == ["spec.seeds"]
        assert await fields(
            [*two, changed("low", epochs=1), changed("Not a name", epochs=3), changed("", epochs=4)]
        ) == [f"spec.variants[{number}].variant" for number in (2, 3, 4)]
        assert await fields(two, title="x" * 201, test=9) == ["spec.title", "spec.test"]
        assert await fields(two, base=base(test_evaluation="TEST_EVALUATION_AT_END")) == ["spec.base.test_evaluation"]
        owned = changed(
            "owned",
            dataset="flowers",
            seed=3,
            model="roses",
            publish="PUBLISH_POLICY_ALWAYS",
            data={"classes": ["aster", "lily"], "max_val_images": 3, "max_test_images_per_class": 4},
            epochs=1,
        )
        assert await fields([*two, owned]) == [
            f"spec.variants[2].changes.{path}"
            for path in (
                "data.classes",
                "data.max_test_images_per_class",
                "data.max_val_images",
                "dataset",
                "model",
                "publish",
                "seed",
            )
        ]
        # Without what is refused it is the baseline once more, which nobody asked for.
        assert await fields([*two, changed("other", data={"max_val_images": 3})]) == [
            "spec.variants[2].changes.data.max_val_images"
        ]
        cleared = ("colour", "epochs", "dataset", "optimizer.kind", "data", "batch_size")
        clears = changed("clears", cleared, batch_size=8)
        assert await fields([*two, clears], base=base(batch_size=4, data={"classes": ["aster", "lily"]})) == [
            f"spec.variants[2].cleared[{number}]" for number in (0, 2, 3, 4, 5)
        ]
        assert await fields([*two, changed("metric", selection_metric="SELECTION_METRIC_LOSS")]) == [
            "spec.variants[2].changes.selection_metric"
        ]


async def test_a_study_says_which_validation_images_take_part_and_why_not_all(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        await client.import_flowers()

        async def said(**data: Any) -> str:
            study = await create(client, make_study(RATES, base=base(data=data)), validate_only=True)
            return study.validation_images.removeprefix("datasets/flowers/versions/1, val 2, ")

        chosen = {"classes": ["aster", "lily"]}
        assert await said() == "30 images"
        assert await said(**chosen) == "20 images of 30, 2 of 3 classes"
        assert await said(max_val_images=6) == "6 images of 30, drawn by data.seed 0"
        assert (
            await said(**chosen, max_val_images_per_class=2) == "4 images of 30, 2 of 3 classes, drawn by data.seed 0"
        )


async def test_recipes_that_are_the_same_are_refused_whatever_way_they_are_written(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        await client.import_flowers()
        default = changed("default", optimizer={"learning_rate": 0.001})
        patient = changed("patient", scheduling={"priority": 3})

        found = await refused(create(client, make_study([*RATES, default, patient])))

        assert (found.code, found.fields) == (INVALID, ["spec.variants[2]", "spec.variants[3]"])
        assert "'default' is the same recipe as 'low'" in found.message


async def test_what_is_wrong_with_recipes_is_told_at_the_study_s_own_fields(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        await client.import_flowers()
        negative = changed("negative", optimizer={"learning_rate": -1.0})
        short = changed("short", epochs=1)
        milestones = base(epochs=10, schedule={"kind": "SCHEDULE_KIND_MULTISTEP", "milestones": [5]})

        assert await refusal(client, [*RATES, negative]) == (
            INVALID,
            ["spec.variants[2].changes.optimizer.learning_rate"],
        )
        assert await refusal(client, base=base(epochs=-1)) == (INVALID, ["spec.base.epochs"])
        assert await refusal(client, base=base(dataset="tulips")) == ("NOT_FOUND", ["spec.base.dataset"])
        head = changed("head", mode="FINE_TUNING_MODE_HEAD", weights="trainingJobs/nobody")
        assert await refusal(client, [*RATES, head]) == ("NOT_FOUND", ["spec.variants[2].changes.weights"])
        found = await refused(create(client, make_study([*RATES, short], base=milestones)))
        assert (found.code, found.fields) == (INVALID, ["spec.base.schedule.milestones"])
        assert "in variant 'short'" in found.message
        empty = await refused(client.training.CreateTrainingStudy(study_pb2.CreateTrainingStudyRequest()))
        assert empty.code == INVALID
        assert {"spec.base", "spec.variants"} <= set(empty.fields)


async def test_all_trials_are_queued_or_none(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, package=package, max_queued_jobs=5)) as (_, client):
        await client.import_flowers()
        full = await refused(create(client, make_study(seeds=[1, 2, 3])))
        jobs = (await client.training.ListTrainingJobs(training_pb2.ListTrainingJobsRequest())).training_jobs
        studies = await client.training.ListTrainingStudies(study_pb2.ListTrainingStudiesRequest())

    assert (full.code, full.reason) == ("RESOURCE_EXHAUSTED", "QUEUE_FULL")
    assert "0 of at most 5 jobs wait already, 6 more are too many" in full.message
    assert (len(jobs), len(studies.training_studies)) == (0, 0)


@pytest.mark.slow
async def test_a_repeated_request_answers_with_the_first_study(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, package=package)) as (_, client):
        await client.import_flowers()
        first = await create(client, request_id="one")
        again = await create(client, request_id="one")
        other = await refused(create(client, make_study(seeds=[1, 2]), request_id="one"))
        await finished(client, first.name)
        listed = await client.training.ListTrainingStudies(study_pb2.ListTrainingStudiesRequest())

    assert first.name == again.name
    assert (other.code, other.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assert [one.name for one in listed.training_studies] == [first.name]


@pytest.mark.slow
async def test_trials_are_ordinary_jobs_that_neither_publish_nor_read_test_images(
    tmp_path: Path, package: Path
) -> None:
    async with running(make_config(tmp_path, package=package)) as (_, client):
        await client.import_flowers()
        study = await create(client, make_study(seeds=[7, 8]))
        jobs = [await client.job(trial.training_job) for trial in study.trials]
        await finished(client, study.name)

    assert [(one.variant, one.seed) for one in study.trials] == [("low", 7), ("low", 8), ("high", 7), ("high", 8)]
    assert [job.recipe.seed for job in jobs] == [7, 8, 7, 8]
    assert [job.recipe.optimizer.learning_rate for job in jobs] == [0.001, 0.001, 0.1, 0.1]
    for job in jobs:
        assert job.study == study.name
        for spec in (job.spec, job.recipe):
            assert spec.publish == pb.PUBLISH_POLICY_NEVER
            assert spec.test_evaluation == pb.TEST_EVALUATION_DEFERRED


async def test_a_study_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        for name, expected in (("", INVALID), ("nobody", "NOT_FOUND"), ("trainingStudies/../x", "NOT_FOUND")):
            for method, request in (
                ("GetTrainingStudy", study_pb2.GetTrainingStudyRequest),
                ("CancelTrainingStudy", study_pb2.CancelTrainingStudyRequest),
                ("DeleteTrainingStudy", study_pb2.DeleteTrainingStudyRequest),
            ):
                assert (await refused(getattr(client.training, method)(request(name=name)))).code == expected
