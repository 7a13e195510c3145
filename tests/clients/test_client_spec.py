"""A TrainingSpec from settings and recipe files."""

import json

import pytest
from google.protobuf.json_format import MessageToDict

from cultivar.v1 import training_spec_pb2
from cultivar_client.enums import enum_label, enum_labels
from cultivar_client.spec import SpecError, apply_settings, field_paths, read_recipe, spec_from_mapping


def spec_of(*settings):
    spec = training_spec_pb2.TrainingSpec()
    apply_settings(spec, settings)
    return spec


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("epochs=3", {"epochs": 3}),
        ("optimizer.learning_rate=1e-3", {"optimizer": {"learningRate": 0.001}}),
        ("optimizer.nesterov=false", {"optimizer": {"nesterov": False}}),
        ("schedule.kind=cosine", {"schedule": {"kind": "SCHEDULE_KIND_COSINE"}}),
        ("publish=first-or-better", {"publish": "PUBLISH_POLICY_FIRST_OR_BETTER"}),
        ("batchSize=64", {"batchSize": 64}),
        ("dataset=a=b", {"dataset": "a=b"}),
        ("seed=0", {"seed": "0"}),
    ],
)
def test_a_setting_is_read_by_its_fields_type(setting, expected):
    assert MessageToDict(spec_of(setting)) == expected


def test_settings_of_a_list_add_up():
    assert list(spec_of("data.classes=a,b", "data.classes=c").data.classes) == ["a", "b", "c"]


def test_settings_of_a_list_replace_the_recipes():
    spec = spec_from_mapping({"data": {"classes": ["x"]}})

    apply_settings(spec, ["data.classes=a"])

    assert list(spec.data.classes) == ["a"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("learning_rate=1", "did you mean optimizer.learning_rate"),
        ("optimizer.learning_rat=1", "did you mean optimizer.learning_rate"),
        ("epochs.x=1", "epochs.x is no field"),
        ("optimizer=sgd", "optimizer holds fields: set one of optimizer.kind"),
        ("epochs=many", "epochs: 'many' is no whole number"),
        ("epochs=99999999999", "epochs: "),
        ("optimizer.nesterov=maybe", "neither true nor false"),
        ("schedule.kind=square", "'square' is none of constant, step, cosine"),
        ("loss.class_weights=2", "set an entry, such as class_weights.KEY=VALUE"),
        ("loss.class_weights.rose=many", "loss.class_weights.rose: 'many' is no number"),
        ("mode=unspecified", "none of scratch, full, head"),
        ("epochs", "write field.path=value"),
    ],
)
def test_a_wrong_setting_is_refused_with_a_remedy(setting, message):
    with pytest.raises(SpecError, match=message):
        spec_of(setting)


def test_entries_of_a_map_are_set_by_key_and_add_up():
    spec = spec_of("loss.class_weights.rose=2", "loss.class_weights.n0.1=0.5", "loss.class_weights.rose=3")

    assert dict(spec.loss.class_weights) == {"rose": 3.0, "n0.1": 0.5}


def test_a_map_in_a_recipe_is_a_mapping_and_settings_change_its_entries():
    for loss in (
        {"loss": {"class_weights": {"rose": 2, "a.b": "0.5"}}},
        {"loss.class_weights": {"rose": 2, "a.b": 0.5}},
    ):
        spec = spec_from_mapping(loss)
        apply_settings(spec, ["loss.class_weights.rose=4"])

        assert dict(spec.loss.class_weights) == {"rose": 4.0, "a.b": 0.5}


def test_numbers_of_a_list_are_separated_by_commas():
    spec = spec_of("optimizer.learning_rates=0.1,1e-2", "schedule.milestones=3,5", "trainable=layer4.*,*.bias")

    assert list(spec.optimizer.learning_rates) == [0.1, 0.01]
    assert list(spec.schedule.milestones) == [3, 5]
    assert list(spec.trainable) == ["layer4.*", "*.bias"]


def test_a_mapping_may_be_nested_or_dotted():
    nested = spec_from_mapping({"mode": "last-blocks", "optimizer": {"kind": "sgd"}})
    dotted = spec_from_mapping({"mode": "last-blocks", "optimizer.kind": "sgd"})

    assert nested == dotted


def test_a_recipe_file_may_be_the_json_of_a_spec(tmp_path):
    spec = spec_of("mode=head", "seed=7", "data.classes=a,b", "optimizer.weight_decay=0.1", "dataset=flowers")
    for preserving_names in (True, False):
        path = tmp_path / "recipe.json"
        path.write_text(json.dumps(MessageToDict(spec, preserving_proto_field_name=preserving_names)))

        assert read_recipe(path) == spec


def test_a_recipe_file_may_be_yaml(tmp_path):
    pytest.importorskip("yaml")
    path = tmp_path / "recipe.yaml"
    path.write_text("mode: head\noptimizer:\n  learning_rate: 1e-3\nexecution:\n  feature_cache: off\n")

    assert read_recipe(path) == spec_of("mode=head", "optimizer.learning_rate=0.001", "execution.feature_cache=off")


def test_a_mistake_in_a_recipe_file_names_the_file(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text('{"epoch": 3}')

    with pytest.raises(SpecError, match=r"recipe\.json: epoch is no field: did you mean epochs"):
        read_recipe(path)


def test_field_paths_reach_into_messages():
    paths = field_paths()

    assert {"dataset", "data.classes", "execution.device"} <= set(paths)
    assert "optimizer" not in paths


def test_enum_values_are_written_in_lower_case_with_hyphens():
    modes = training_spec_pb2.DESCRIPTOR.enum_types_by_name["FineTuningMode"]

    assert enum_labels(modes) == ["scratch", "full", "head", "last-blocks", "gradual"]
    assert enum_label(modes, 99) == "99"


def test_a_number_that_no_float_holds_is_refused() -> None:
    with pytest.raises(SpecError, match=r"optimizer\.learning_rate: .* is no number"):
        spec_from_mapping({"optimizer": {"learning_rate": 10**400}})
