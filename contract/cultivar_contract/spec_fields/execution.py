"""Fields about what happens around training: publishing, test data, where and how it computes."""

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.spec_fields.field import SpecField, enum_is

FIELDS = (
    SpecField(path="publish", help="Whether the new version goes live.", default=pb.PUBLISH_POLICY_FIRST_OR_BETTER),
    SpecField(path="test_evaluation", help="When test data are read.", default=pb.TEST_EVALUATION_AT_END),
    SpecField(path="execution.device", help="`auto`, `cpu` or `cuda:N`.", default="auto"),
    SpecField(
        path="execution.feature_cache",
        help="Whether features of a frozen backbone are computed once and reused.",
        default=pb.FEATURE_CACHE_AUTO,
    ),
    SpecField(
        path="execution.feature_views",
        help="Augmented views of each image whose features are cached, epochs taking turns with them; 0: none.",
        unit="views",
        needs=enum_is("mode", pb.FINE_TUNING_MODE_HEAD),
        needs_help="mode head",
        default=0,
        minimum=0,
        maximum=64,
    ),
    SpecField(
        path="execution.micro_batch",
        help="Images per forward and backward pass, gradients being added up over batch_size; 0: batch_size.",
        unit="images",
        default=0,
        minimum=0,
        maximum=65_536,
    ),
    SpecField(
        path="execution.tuning", help="How dtype, memory format and threads are chosen.", default=pb.TUNING_TABLE
    ),
    SpecField(
        path="execution.memory_limit_bytes",
        help="GPU memory that the job may use; 0: all that is free.",
        unit="bytes",
        default=0,
        minimum=0,
        maximum=2**50,
    ),
    SpecField(
        path="execution.threads",
        help="CPU threads that torch computes with, part of the plan; 0: one per core.",
        unit="threads",
        default=0,
        minimum=0,
        maximum=1024,
    ),
    SpecField(
        path="scheduling.priority",
        help="Jobs of a higher priority start first; waiting raises it.",
        default=0,
        minimum=-1000,
        maximum=1000,
    ),
    SpecField(
        path="scheduling.max_run_seconds",
        help="Time that all attempts together may run; 0: no limit.",
        unit="s",
        default=0.0,
        minimum=0,
        maximum=10_000_000,
    ),
    SpecField(
        path="scheduling.attempts_without_progress",
        help="Attempts in a row that may be killed or lost without a newer checkpoint; 0: no retry.",
        unit="attempts",
        default=3,
        minimum=0,
        maximum=100,
    ),
)
