"""What a report is about, beside the figures."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cultivar_trainer.datasets.version import DatasetClass


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A model and the data set that it was measured on."""

    model: str
    """As commands name it: `flowers`, or `flowers/versions/3` where the version has its number."""
    architecture: str
    classes: Sequence[DatasetClass]
    """The model's, in label order."""
    dataset: str
    """`datasets/flowers/versions/2`."""
    dataset_digest: str
    split_protocol: str
    dataset_report: dict[str, Any] | None
    """DatasetReport as proto JSON; None: the version has none."""
    recipe: dict[str, Any]
    """The resolved spec as proto JSON."""
    commands: Sequence[str]
    """That make the model, or measure it, again."""

    def to_json(self) -> dict[str, Any]:
        """Return the form that programs read."""
        return {
            "model": self.model,
            "architecture": self.architecture,
            "classes": [asdict(one) for one in self.classes],
            "dataset": {
                "name": self.dataset,
                "digest": self.dataset_digest,
                "split_protocol": self.split_protocol,
                "report": self.dataset_report,
            },
            "recipe": self.recipe,
            "commands": list(self.commands),
        }
