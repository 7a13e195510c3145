"""One table of every field of a training spec: unit, range, default, help, source."""

from dataclasses import replace

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.spec_fields import diagnostics, execution, images, learning, network, request
from cultivar_contract.spec_fields.field import SpecField, enum_value_name

__all__ = ["FIELDS", "SpecField", "enum_value_name"]

NOT_BUILT_VALUES: dict[str, tuple[int, ...]] = {"test_evaluation": (pb.TEST_EVALUATION_DEFERRED,)}
"""Enum values whose feature is not built yet: setting one is refused."""

FIELDS = tuple(
    replace(row, unbuilt_values=NOT_BUILT_VALUES.get(row.path, ()))
    for row in (
        *request.FIELDS,
        *network.FIELDS,
        *images.FIELDS,
        *learning.FIELDS,
        *diagnostics.FIELDS,
        *execution.FIELDS,
    )
)
"""In the order in which defaults are resolved."""
