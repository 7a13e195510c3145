"""One table of every field of a training spec: unit, range, default, help, source."""

from cultivar_contract.spec_fields import diagnostics, execution, images, learning, network, request
from cultivar_contract.spec_fields.field import SpecField, enum_value_name

__all__ = ["FIELDS", "SpecField", "enum_value_name"]

FIELDS = (
    *request.FIELDS,
    *network.FIELDS,
    *images.FIELDS,
    *learning.FIELDS,
    *diagnostics.FIELDS,
    *execution.FIELDS,
)
"""In the order in which defaults are resolved."""
