"""The metrics of the data directory."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class DiskMetrics:
    """How full the disk is, with what, and what was removed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.free_bytes = Gauge(
            "cultivar_disk_free_bytes", "Free space on the disk of the data directory.", registry=registry
        )
        self.folder_bytes = Gauge(
            "cultivar_disk_folder_bytes",
            "Size of a folder of the data directory, measured now and then.",
            ["folder"],
            registry=registry,
        )
        self.shortages = Counter(
            "cultivar_disk_shortages",
            "Times that free space fell so low that running jobs and imports were stopped.",
            registry=registry,
        )
        self.expired = Counter(
            "cultivar_expired",
            "Runs, imports and versions that were removed for their age.",
            ["kind"],
            registry=registry,
        )
        self.orphans = Counter(
            "cultivar_orphans_collected", "Folders without a record that were removed.", ["kind"], registry=registry
        )
        self.missing = Gauge(
            "cultivar_files_missing",
            "Versions whose files were gone when the service started.",
            ["kind"],
            registry=registry,
        )
