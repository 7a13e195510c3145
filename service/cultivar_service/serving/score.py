"""How well a version did, and whether that is better than another one did."""

from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format

from cultivar.v1 import training_spec_pb2 as spec_pb2
from cultivar_contract import package
from cultivar_contract.package import DamagedPackage

_METRICS = {
    spec_pb2.SELECTION_METRIC_LOSS: "loss",
    spec_pb2.SELECTION_METRIC_TOP1: "accuracy",
    spec_pb2.SELECTION_METRIC_TOP5: "top5_accuracy",
    spec_pb2.SELECTION_METRIC_MACRO_F1: "macro_f1",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A version's value on its validation images: two compare where images and metric are the same."""

    val_digest: str
    """Digest of the validation images."""
    metric: str
    """Key in the manifest's metrics."""
    value: float
    """Its value."""

    @classmethod
    def of(cls, manifest: dict[str, Any]) -> "Score":
        """Read a manifest.

        Raises:
            DamagedPackage: it has no score.
        """
        try:
            recipe = json_format.ParseDict(manifest["recipe"], spec_pb2.TrainingSpec(), ignore_unknown_fields=True)
            metric = _METRICS[recipe.selection_metric]
            return cls(
                val_digest=str(manifest["dataset"]["splits"]["val"]["digest"]),
                metric=metric,
                value=float(manifest["variants"][0]["metrics"]["val"][metric]),
            )
        except (KeyError, TypeError, ValueError, IndexError, json_format.ParseError) as error:
            raise DamagedPackage(
                f"{package.MANIFEST} lacks the selection metric ({error})", reason="manifest"
            ) from error

    def beats(self, other: "Score") -> bool:
        """Tell whether this one is better."""
        return self.value < other.value if self.metric == "loss" else self.value > other.value


def goes_live(
    policy: spec_pb2.PublishPolicy, score: Score, live_name: str | None, live_manifest: dict[str, Any]
) -> tuple[bool, str]:
    """Tell whether a new version goes live, and why.

    Args:
        policy: what the job's recipe says.
        score: the new version's.
        live_name: the version that is live; None: there is none.
        live_manifest: its manifest.
    """
    if policy == spec_pb2.PUBLISH_POLICY_NEVER:
        return False, "publish is never"
    if policy == spec_pb2.PUBLISH_POLICY_ALWAYS:
        return True, "publish is always"
    if live_name is None:
        return True, "the model has no other live version"
    try:
        other = Score.of(live_manifest)
    except DamagedPackage:
        return False, f"{live_name} is live and has no score to compare with: promote the new version to replace it"
    if score.val_digest != other.val_digest:
        return False, f"{live_name} is live and was measured on other validation images"
    if score.metric != other.metric:
        return False, f"{live_name} is live and was selected by {other.metric}, not {score.metric}"
    figures = f"val {score.metric} {score.value:.6g}, {live_name} has {other.value:.6g}"
    return (True, f"better: {figures}") if score.beats(other) else (False, f"not better: {figures}")
