from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.recipe import DatasetFacts, Facts, NetworkFacts, Resolution, SourceFacts
from cultivar_contract.recipe import resolve as resolve_with
from cultivar_contract.spec_fields import FIELDS

FLOWERS = DatasetFacts(
    name="datasets/flowers/versions/2",
    class_ids=("rose", "tulip", "lily"),
    counts={"train": (50, 40, 30), "val": (5, 4, 3)},
)


def spec(**changes: Any) -> pb.TrainingSpec:
    fields = {"dataset": "flowers", "architecture": "resnet18", "mode": "FINE_TUNING_MODE_SCRATCH", **changes}
    return json_format.ParseDict(fields, pb.TrainingSpec())


def resolve(request: pb.TrainingSpec, dataset: DatasetFacts | None, weight_files: set[str]) -> Resolution:
    return resolve_with(request, Facts(dataset=dataset, weight_files=weight_files))


def violations(request: pb.TrainingSpec, facts: DatasetFacts | None = FLOWERS) -> dict[str, str]:
    resolution = resolve(request, facts, {"flowers.pth"})
    return {one.field: one.message for one in (*resolution.violations, *resolution.unbuilt)}


def leaves(message: Descriptor, prefix: str = "") -> Iterator[str]:
    for field in message.fields:
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            yield from leaves(field.message_type, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def test_the_table_has_every_field_of_the_spec_once() -> None:
    assert sorted(row.path for row in FIELDS) == sorted(leaves(pb.TrainingSpec.DESCRIPTOR))


OTHER_VALUES: dict[str, Any] = {
    "dataset": "datasets/flowers/versions/2",
    "architecture": "squeezenet1_0",
    "optimizer.kind": pb.OPTIMIZER_KIND_SGD,
    "schedule.kind": pb.SCHEDULE_KIND_STEP,
    "data.max_train_images": 3,
    "model": "blossoms",
    "weights": "flowers.pth",
    "mode": pb.FINE_TUNING_MODE_HEAD,
    "trainable": ["features.18.*"],
    "last_blocks": 3,
    "network.stem": pb.STEM_CIFAR,
    "network.head_dropout": 0.1,
    "network.kernel_size": 3,
    "input.size": 64,
    "input.normalisation": pb.NORMALISATION_UNIT,
    "data.classes": ["rose", "lily"],
    "optimizer.nesterov": False,
    "execution.device": "cpu",
    "schedule.step_epochs": 3,
    "schedule.milestones": [3, 5],
    "schedule.plateau_patience": 5,
    "epochs": 7,
    "batch_size": 8,
    "input.channels": 1,
    "gradual.head_epochs": 2,
    "execution.feature_views": 4,
    "execution.memory_limit_bytes": 2 << 30,
    "initialisation.fan": pb.FAN_OUT,
    "optimizer.weight_decay_form": pb.WEIGHT_DECAY_FORM_IN_LOSS,
}
CONTEXTS: dict[str, dict[str, Any]] = {
    "network.stem": {},
    "input.channels": {},
    "input.normalisation": {},
    "input.normalisation_ratio": {"input": {"normalisation": "NORMALISATION_MEASURED"}},
    "network.head_activation": {"network": {"headHiddenSizes": [8]}},
    "network.shortcuts": {"architecture": "resnet20_cifar"},
    "network.zero_init_residual": {},
    "initialisation.scheme": {},
    "initialisation.": {"initialisation": {"scheme": "INITIALISATION_SCHEME_HE"}},
    "last_blocks": {"mode": "FINE_TUNING_MODE_LAST_BLOCKS"},
    "gradual.": {"mode": "FINE_TUNING_MODE_GRADUAL"},
    "optimizer.kind": {},
    "optimizer.momentum": {"optimizer": {"kind": "OPTIMIZER_KIND_SGD"}},
    "optimizer.nesterov": {"optimizer": {"kind": "OPTIMIZER_KIND_SGD"}},
    "optimizer.other_learning_rate": {"optimizer": {"kind": "OPTIMIZER_KIND_MUON"}},
    "schedule.kind": {},
    "schedule.warmup_epochs": {},
    "schedule.step_epochs": {"schedule": {"kind": "SCHEDULE_KIND_STEP"}},
    "schedule.milestones": {"schedule": {"kind": "SCHEDULE_KIND_MULTISTEP"}},
    "schedule.step_factor": {"schedule": {"kind": "SCHEDULE_KIND_MULTISTEP"}},
    "schedule.plateau_patience": {"schedule": {"kind": "SCHEDULE_KIND_PLATEAU"}},
    "schedule.final_factor": {"schedule": {"kind": "SCHEDULE_KIND_LINEAR"}},
    "schedule.cycle_epochs": {"schedule": {"kind": "SCHEDULE_KIND_CYCLIC"}},
    "schedule.": {"schedule": {"kind": "SCHEDULE_KIND_ONE_CYCLE"}},
    "augmentation.randaugment_magnitude": {"augmentation": {"randaugmentOperations": 2}},
    "augmentation.mixing_probability": {"augmentation": {"mixup": 0.2}},
    "early_stopping.min_delta": {"earlyStopping": {"patience": 2}},
    "ensemble.sampling": {"ensemble": {"members": 3}},
    "execution.feature_views": {"mode": "FINE_TUNING_MODE_HEAD", "augmentation": {"horizontalFlip": 0.5}},
}
"""What gives a field its meaning, by the field's path or the first part of it; `{}`: mode SCRATCH."""
CONFIGURABLE = "lenet5"


def context(path: str) -> dict[str, Any]:
    for known, fields in CONTEXTS.items():
        if path == known or (known.endswith(".") and path.startswith(known)):
            return fields
    if path.startswith("network.") and not path.startswith(("network.head", "network.batch_norm_")):
        return {"architecture": CONFIGURABLE}
    return {"architecture": "mobilenet_v2", "mode": "FINE_TUNING_MODE_FULL"}


def other_value(row: Any) -> Any:
    if row.path in OTHER_VALUES:
        return OTHER_VALUES[row.path]
    if row.descriptor.enum_type is not None:
        return row.descriptor.enum_type.values[-1].number
    if row.descriptor.message_type is not None:
        return {"rose": 2.0}
    kind = row.to_message().type
    one = {"bool": True, "int": 1, "float": 0.25, "list": [3]}[kind]
    return not row.default if kind == "bool" and isinstance(row.default, bool) else one


@pytest.mark.parametrize("row", FIELDS, ids=lambda row: row.path)
def test_a_field_changes_the_recipe_or_is_refused_at_its_path(row: Any) -> None:
    request = spec(**context(row.path))
    if request.mode != pb.FINE_TUNING_MODE_SCRATCH:
        request.weights = "IMAGENET1K_V1"
        request.architecture = "mobilenet_v2"
    before = resolve(request, FLOWERS, {"flowers.pth"})
    value = other_value(row)

    if row.descriptor.message_type is not None:
        row.get(request).update(value)
    else:
        if row.descriptor.is_repeated:
            del row.get(request)[:]
        row.set(request, value)
    after = resolve(request, FLOWERS, {"flowers.pth"})

    refused = row.path in {one.field for one in after.unbuilt}
    changed = row.path == "dataset" or row.get(after.recipe) != row.get(before.recipe)
    assert refused != (changed and not after.unbuilt)
    assert refused or not [one for one in after.violations if one.field == row.path], after.violations


def test_defaults_fill_everything_that_a_client_leaves_out() -> None:
    resolution = resolve(spec(), FLOWERS, set())

    recipe = resolution.recipe
    assert not resolution.violations
    assert recipe.dataset == "datasets/flowers/versions/2"
    assert recipe.model == "flowers"
    assert recipe.input.size == 224
    assert recipe.epochs == 20
    assert recipe.optimizer.learning_rate == 1e-3
    assert recipe.schedule.warmup_epochs == 4
    assert resolution.warnings == ["There are no test images, so there will be no test metrics."]


def test_a_gain_acts_without_a_scheme_too() -> None:
    plain = resolve(spec(), FLOWERS, set()).recipe
    request = spec()
    request.initialisation.gain = 0.01
    tiny = resolve(request, FLOWERS, set())

    assert not plain.initialisation.HasField("gain")
    assert tiny.recipe.initialisation.scheme == pb.INITIALISATION_SCHEME_XAVIER
    assert tiny.recipe.initialisation.gain == 0.01


def test_a_recipe_resolves_to_itself() -> None:
    once = resolve(spec(), FLOWERS, set()).recipe

    assert resolve(once, FLOWERS, set()).recipe == once


def test_the_order_in_which_classes_are_named_does_not_matter() -> None:
    one = resolve(spec(data={"classes": ["lily", "rose"]}), FLOWERS, set()).recipe
    other = resolve(spec(data={"classes": ["rose", "lily"]}), FLOWERS, set()).recipe

    assert one == other
    assert list(one.data.classes) == ["rose", "lily"]


def test_all_violations_are_named_at_once_with_value_and_remedy() -> None:
    found = violations(
        spec(
            architecture="mobilenet_v2",
            mode="FINE_TUNING_MODE_HEAD",
            weights="../secret.pth",
            epochs=-3,
            batchSize=-1,
            input={"size": 16, "channels": 1},
            optimizer={"learningRate": "NaN"},
            data={"classes": ["rose", "weed"]},
            execution={"device": "tpu"},
        )
    )

    assert set(found) == {
        "weights",
        "epochs",
        "batch_size",
        "input.size",
        "input.channels",
        "optimizer.learning_rate",
        "data.classes",
        "execution.device",
    }
    assert found["epochs"] == "-3 is out of range: use 1 to 10000"
    assert "16 is below the 32 px that mobilenet_v2 needs" in found["input.size"]
    assert "weed" in found["data.classes"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"architecture": "resnet19"}, "architecture"),
        ({"mode": 0}, "mode"),
        ({"mode": 17}, "mode"),
        ({"mode": "FINE_TUNING_MODE_GRADUAL"}, "weights"),
        ({"mode": "FINE_TUNING_MODE_FULL"}, "weights"),
        ({"weights": "flowers.pth"}, "weights"),
        ({"mode": "FINE_TUNING_MODE_FULL", "weights": "missing.pth"}, "weights"),
        ({"model": "Not A Name"}, "model"),
        ({"architecture": "lenet5", "network": {"stem": "STEM_CIFAR"}}, "network.stem"),
        ({"network": {"headDropout": 0.96}}, "network.head_dropout"),
        ({"network": {"headHiddenSizes": [0]}}, "network.head_hidden_sizes"),
        ({"network": {"kernelSize": 3}}, "network.kernel_size"),
        ({"network": {"shortcuts": False}}, "network.shortcuts"),
        ({"architecture": "mlp", "input": {"size": 1024}, "network": {"hiddenSizes": [8192]}}, "network.hidden_sizes"),
        ({"architecture": "alexnet", "input": {"size": 32}}, "input.size"),
        ({"architecture": "inception_v3", "input": {"size": 32}}, "input.size"),
        ({"architecture": "vit_b_16", "input": {"size": 32}}, "input.size"),
        ({"input": {"channels": 2}}, "input.channels"),
        ({"input": {"normalisation": "NORMALISATION_PRETRAINED"}}, "input.normalisation"),
        ({"batchSize": -1}, "batch_size"),
        ({"batchSize": 1, "augmentation": {"cutmix": 1}}, "augmentation.cutmix"),
        ({"augmentation": {"alternatingFlip": True, "horizontalFlip": 0.5}}, "augmentation.alternating_flip"),
        ({"augmentation": {"mixup": 1}, "loss": {"kind": "LOSS_KIND_MULTI_CLASS_HINGE"}}, "augmentation.mixup"),
        ({"loss": {"kind": "LOSS_KIND_MULTI_CLASS_HINGE", "labelSmoothing": 0.1}}, "loss.label_smoothing"),
        ({"loss": {"classWeights": {"weed": 2}}}, "loss.class_weights"),
        ({"loss": {"classWeights": {"rose": 0}}}, "loss.class_weights"),
        ({"optimizer": {"learningRates": [0.1, 0.1]}}, "optimizer.learning_rates"),
        ({"optimizer": {"learningRates": [0.1, 0]}}, "optimizer.learning_rates"),
        ({"optimizer": {"learningRates": [0.1], "learningRate": 0.1}}, "optimizer.learning_rate"),
        ({"epochs": 4, "schedule": {"kind": "SCHEDULE_KIND_STEP", "stepEpochs": 5}}, "schedule.step_epochs"),
        ({"epochs": 4, "schedule": {"kind": "SCHEDULE_KIND_MULTISTEP", "milestones": [4]}}, "schedule.milestones"),
        ({"epochs": 4, "schedule": {"kind": "SCHEDULE_KIND_MULTISTEP", "milestones": [3, 2]}}, "schedule.milestones"),
        ({"epochs": 4, "schedule": {"kind": "SCHEDULE_KIND_CYCLIC", "cycleEpochs": 5}}, "schedule.cycle_epochs"),
        ({"batchSize": 8, "execution": {"microBatch": 9}}, "execution.micro_batch"),
        ({"trainable": ["fc.*"]}, "trainable"),
        ({"retainBlocks": 2}, "retain_blocks"),
        ({"network": {"hiddenSizes": [5]}}, "network.hidden_sizes"),
        ({"network": {"headHiddenSizes": [16384] * 4}}, "network.head_hidden_sizes"),
        (
            {
                "architecture": "lenet5",
                "input": {"size": 64},
                "network": {"convChannels": [2048, 2048], "kernelSize": 11},
            },
            "network.conv_channels",
        ),
        ({"architecture": "mlp", "input": {"size": 1024}, "network": {"hiddenSizes": [900]}}, "network.hidden_sizes"),
        (
            {"architecture": "resnet20_cifar", "network": {"shortcuts": False, "zeroInitResidual": True}},
            "network.zero_init_residual",
        ),
        ({"epochs": 2, "schedule": {"warmupEpochs": 3}}, "schedule.warmup_epochs"),
        ({"augmentation": {"paddedCrop": 4, "resizedCrop": 0.5}}, "augmentation.resized_crop"),
        ({"augmentation": {"hue": 0.6}}, "augmentation.hue"),
        ({"data": {"maxTrainImages": 2}}, "data.max_train_images"),
        ({"data": {"classes": ["rose"]}}, "data.classes"),
        ({"execution": {"memoryLimitBytes": 1}}, "execution.memory_limit_bytes"),
    ],
)
def test_a_contradiction_is_refused_at_its_field(changes: dict[str, Any], field: str) -> None:
    assert list(violations(spec(**changes))) == [field]


PRETRAINED = {"weights": "IMAGENET1K_V1", "mode": "FINE_TUNING_MODE_FULL"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({**PRETRAINED, "optimizer": {"kind": "OPTIMIZER_KIND_MUON"}}, "optimizer.kind"),
        ({**PRETRAINED, "input": {"channels": 1}}, "input.channels"),
        ({**PRETRAINED, "network": {"stem": "STEM_CIFAR"}}, "network.stem"),
        ({**PRETRAINED, "network": {"zeroInitResidual": True}}, "network.zero_init_residual"),
        (
            {**PRETRAINED, "mode": "FINE_TUNING_MODE_GRADUAL", "epochs": 3, "gradual": {"headEpochs": 3}},
            "gradual.head_epochs",
        ),
        ({**PRETRAINED, "mode": "FINE_TUNING_MODE_HEAD", "execution": {"featureViews": 3}}, "execution.feature_views"),
        (
            {
                **PRETRAINED,
                "mode": "FINE_TUNING_MODE_HEAD",
                "network": {"headHiddenSizes": [16384, 16384]},
                "optimizer": {"learningRates": [0.1, 0.2]},
            },
            "optimizer.learning_rates",
        ),
    ],
)
def test_what_pretrained_weights_rule_out_is_refused_at_its_field(changes: dict[str, Any], field: str) -> None:
    assert list(violations(spec(**changes))) == [field]


NETWORK = NetworkFacts(parameter_names=("conv1.weight", "fc.weight"), block_count=9, learning_batch_norms=("bn1",))


@pytest.mark.parametrize(
    ("changes", "field", "told"),
    [
        ({"mode": "FINE_TUNING_MODE_LAST_BLOCKS", "lastBlocks": 10}, "last_blocks", "more than the 9 blocks"),
        ({"retainBlocks": 10}, "retain_blocks", "more than the 9 blocks"),
        ({"trainable": ["layer4.*"]}, "trainable", "'layer4.*' matches no parameter"),
        ({"batchSize": 1}, "batch_size", "the BatchNorm layer bn1"),
        ({"execution": {"microBatch": 1}}, "execution.micro_batch", "the BatchNorm layer bn1"),
        ({"batchSize": 0, "execution": {"microBatch": 1}}, "execution.micro_batch", "the BatchNorm layer bn1"),
    ],
)
def test_what_only_the_built_network_tells_is_refused_at_its_field(
    changes: dict[str, Any], field: str, told: str
) -> None:
    resolution = resolve_with(spec(**{**PRETRAINED, **changes}), Facts(dataset=FLOWERS, network=NETWORK))

    assert [one.field for one in resolution.violations] == [field]
    assert told in resolution.violations[0].message


def source(**changes: Any) -> SourceFacts:
    recipe = resolve(spec(**{"input": {"size": 64}, **changes}), FLOWERS, set()).recipe
    return SourceFacts(name="models/base/versions/2", recipe=recipe)


def test_weights_of_a_model_version_bring_their_networks_shape() -> None:
    request = spec(weights="base", mode="FINE_TUNING_MODE_FULL")
    facts = Facts(dataset=FLOWERS, source=source(network={"stem": "STEM_CIFAR"}, input={"size": 40, "channels": 1}))

    resolution = resolve_with(request, facts)

    assert not resolution.violations
    recipe = resolution.recipe
    assert recipe.weights == "models/base/versions/2"
    assert (recipe.network.stem, recipe.input.channels, recipe.input.size) == (pb.STEM_CIFAR, 1, 40)
    assert recipe.input.normalisation == pb.NORMALISATION_PRETRAINED


def test_weights_of_a_model_version_refuse_another_shape() -> None:
    request = spec(weights="base", mode="FINE_TUNING_MODE_FULL", network={"stem": "STEM_IMAGENET"})
    other = spec(weights="base", mode="FINE_TUNING_MODE_FULL", architecture="resnet34")
    facts = Facts(dataset=FLOWERS, source=source(network={"stem": "STEM_CIFAR"}))

    assert [one.field for one in resolve_with(request, facts).violations] == ["network.stem"]
    assert [one.field for one in resolve_with(other, facts).violations] == ["weights"]


def test_weights_of_a_model_version_bring_its_batch_norm_unless_the_job_chooses_another() -> None:
    facts = Facts(dataset=FLOWERS, source=source(network={"batchNormEpsilon": 0.001}))

    def epsilon(**network: float) -> float:
        request = spec(weights="base", mode="FINE_TUNING_MODE_HEAD", network=network)
        resolution = resolve_with(request, facts)
        assert not resolution.violations
        return resolution.recipe.network.batch_norm_epsilon

    assert epsilon() == 0.001
    assert epsilon(batchNormEpsilon=0.01) == 0.01


def test_weights_of_a_network_without_pooling_fit_one_input_size() -> None:
    facts = Facts(dataset=FLOWERS, source=source(architecture="mlp", input={"size": 28}))

    def refused(size: int) -> list[str]:
        request = spec(architecture="mlp", weights="base", mode="FINE_TUNING_MODE_FULL", input={"size": size})
        return [one.field for one in resolve_with(request, facts).violations]

    assert refused(28) == []
    assert refused(32) == ["input.size"]


def test_a_batch_of_all_images_is_resolved_to_their_number() -> None:
    assert resolve(spec(batchSize=0), FLOWERS, set()).recipe.batch_size == 120
    limits = {"maxTrainImagesPerClass": 35, "maxTrainImages": 90}
    assert resolve(spec(batchSize=0, data=limits), FLOWERS, set()).recipe.batch_size == 90


@pytest.mark.parametrize("device", ["cuda", "cuda:01", "cuda:128", "cuda:\u0663", "gpu", "CPU"])
def test_only_devices_that_torch_can_count_pass(device: str) -> None:
    assert list(violations(spec(execution={"device": device}))) == ["execution.device"]


def test_an_input_of_no_pixels_is_one_violation() -> None:
    assert list(violations(spec(input={"size": 0}))) == ["input.size"]


def test_sgd_without_momentum_is_plain_sgd() -> None:
    resolution = resolve(spec(optimizer={"kind": "OPTIMIZER_KIND_SGD", "momentum": 0}), FLOWERS, set())

    assert not resolution.violations
    assert not resolution.recipe.optimizer.nesterov


def test_a_field_that_has_no_meaning_here_is_warned_of() -> None:
    resolution = resolve(spec(optimizer={"momentum": 0.5}), FLOWERS, set())

    assert (
        "optimizer.momentum has no meaning here: it needs optimizer.kind sgd, rmsprop or muon." in resolution.warnings
    )
    assert not resolution.recipe.optimizer.HasField("momentum")


def test_a_data_set_without_validation_images_is_refused() -> None:
    facts = DatasetFacts(name="datasets/x/versions/1", class_ids=("a", "b"), counts={"train": (5, 5)})

    assert violations(spec(), facts) == {"dataset": "datasets/x/versions/1 has no val images: import some"}


def test_views_of_features_need_pixel_augmentation_and_the_cache() -> None:
    head = {"mode": "FINE_TUNING_MODE_HEAD", "augmentation": {"rotation": 20}}

    def refused(**changes: Any) -> bool:
        return "execution.feature_views" in violations(spec(**{**head, **changes}))

    assert not refused(execution={"featureViews": 4})
    assert refused(execution={"featureViews": 4}, augmentation={})
    assert refused(execution={"featureViews": 4, "featureCache": "FEATURE_CACHE_OFF"})
