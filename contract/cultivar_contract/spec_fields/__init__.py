"""One table of every field of a training spec: unit, range, default, help, source."""

from dataclasses import replace

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.spec_fields import execution, images, learning, network, request
from cultivar_contract.spec_fields.field import SpecField, enum_value_name

__all__ = ["FIELDS", "SpecField", "enum_value_name"]

NOT_BUILT = frozenset(
    {
        "last_blocks",
        "trainable",
        "retain_blocks",
        "network.head_hidden_sizes",
        "network.head_activation",
        "network.conv_channels",
        "network.hidden_sizes",
        "network.kernel_size",
        "network.padding",
        "network.activation",
        "network.batch_norm",
        "network.dropout",
        "network.shortcuts",
        "network.zero_init_residual",
        "network.batch_norm_momentum",
        "network.batch_norm_epsilon",
        "initialisation.scheme",
        "initialisation.distribution",
        "initialisation.fan",
        "initialisation.gain",
        "input.channels",
        "gradual.head_epochs",
        "gradual.head_learning_rate",
        "optimizer.learning_rates",
        "optimizer.weight_decays",
        "optimizer.beta1",
        "optimizer.beta2",
        "optimizer.epsilon",
        "optimizer.other_learning_rate",
        "optimizer.weight_decay_form",
        "optimizer.decay_all",
        "optimizer.l1",
        "optimizer.layer_decay",
        "optimizer.clip_norm",
        "optimizer.clip_value",
        "optimizer.ema_share",
        "schedule.milestones",
        "schedule.plateau_patience",
        "schedule.start_factor",
        "schedule.final_factor",
        "schedule.cycle_epochs",
        "schedule.rise",
        "loss.balance_classes",
        "loss.class_weights",
        "early_stopping.patience",
        "early_stopping.min_delta",
        "execution.micro_batch",
        "execution.memory_limit_bytes",
    }
)
"""Fields whose feature is not built yet: setting one is refused."""
NOT_BUILT_VALUES: dict[str, tuple[int, ...]] = {
    "mode": (pb.FINE_TUNING_MODE_LAST_BLOCKS, pb.FINE_TUNING_MODE_GRADUAL),
    "optimizer.kind": (
        pb.OPTIMIZER_KIND_ADAGRAD,
        pb.OPTIMIZER_KIND_RMSPROP,
        pb.OPTIMIZER_KIND_ADAM,
        pb.OPTIMIZER_KIND_MUON,
    ),
    "schedule.kind": (
        pb.SCHEDULE_KIND_MULTISTEP,
        pb.SCHEDULE_KIND_EXPONENTIAL,
        pb.SCHEDULE_KIND_CYCLIC,
        pb.SCHEDULE_KIND_ONE_CYCLE,
        pb.SCHEDULE_KIND_PLATEAU,
        pb.SCHEDULE_KIND_LINEAR,
    ),
    "loss.kind": (pb.LOSS_KIND_BINARY_CROSS_ENTROPY, pb.LOSS_KIND_MULTI_CLASS_HINGE),
    "selection_metric": (pb.SELECTION_METRIC_MACRO_F1,),
    "test_evaluation": (pb.TEST_EVALUATION_DEFERRED,),
    "execution.tuning": (pb.TUNING_MEASURED,),
}
"""Enum values whose feature is not built yet."""

FIELDS = tuple(
    replace(row, built=row.path not in NOT_BUILT, unbuilt_values=NOT_BUILT_VALUES.get(row.path, ()))
    for row in (*request.FIELDS, *network.FIELDS, *images.FIELDS, *learning.FIELDS, *execution.FIELDS)
)
"""In the order in which defaults are resolved."""
