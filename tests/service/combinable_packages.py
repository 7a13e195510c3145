"""Small packages that say of themselves what combining looks at."""

import hashlib
import json
from pathlib import Path
from typing import Any

from tiny_package import write_package

from cultivar_contract import files

DIGEST = hashlib.sha256(json.dumps(["procedural-flowers", "", 0]).encode()).hexdigest()
"""Of the data set that the scripted trainer imports."""
RECIPE = {
    "architecture": "lenet5",
    "mode": "FINE_TUNING_MODE_SCRATCH",
    "dataset": "datasets/flowers/versions/1",
    "input": {"size": 32, "channels": 3},
    "selectionMetric": "SELECTION_METRIC_TOP1",
    "seed": "0",
    "batchSize": 32,
}


def combinable(folder: Path, *, recipe: dict[str, Any] | None = None, digest: str = DIGEST, **manifest: Any) -> Path:
    """Write a package whose recipe and manifest say what is given."""
    made = write_package(folder, recipe={**RECIPE, **(recipe or {})}, weights=True)
    body = files.read_json(made / "manifest.json")
    dataset = {**body["dataset"], "digest": digest}
    files.write_json(made / "manifest.json", {**body, "dataset": dataset, **manifest})
    return made
