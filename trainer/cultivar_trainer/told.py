"""What a job has told that is told once in its life, over all attempts: results, and not what an attempt does."""

from collections.abc import Iterable

from cultivar.v1 import event_pb2


class Told:
    """Tells new results from those that an attempt finds again because it went on from before them."""

    def __init__(self, events: Iterable[event_pb2.JobEvent]) -> None:
        """Take in what earlier attempts told, in its order."""
        self._keys: set[tuple[str | int, ...]] = set()
        self._candidate = 0
        for event in events:
            self.is_new(event)

    def is_new(self, event: event_pb2.JobEvent) -> bool:
        """Take in an event; tell whether it is no repetition."""
        key = self._key(event)
        if key is None:
            return True
        new = key not in self._keys
        self._keys.add(key)
        return new

    def _key(self, event: event_pb2.JobEvent) -> tuple[str | int, ...] | None:
        match kind := event.WhichOneof("event"):
            case "epoch_finished":
                self._candidate = event.epoch_finished.candidate
                return kind, self._candidate, event.epoch_finished.epoch
            case "early_stopped":  # of the candidate whose epoch was told before it
                return kind, self._candidate
            case "candidate_finished":
                return kind, event.candidate_finished.candidate
            case "split_evaluated":
                return kind, event.split_evaluated.split
            case "symptom_found":
                return kind, event.symptom_found.symptom, event.symptom_found.layer
            case "export_verified" | "members_compared" | "fit_assessed":
                return (kind,)
        return None
