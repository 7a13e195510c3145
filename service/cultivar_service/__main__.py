"""Runs the service: `cultivar-service`. Reads flags and environment; flags win."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from cultivar_service.config import Address, Config, Security
from cultivar_service.errors import StartupRefused

logger = logging.getLogger("cultivar_service")

ENVIRONMENT = {
    # ONNX Runtime's wheel reports usage to its makers otherwise, here and in trainers.
    "ORT_DISABLE_TELEMETRY": "1",
    # Pillow keeps images in blocks. Smaller ones go to the C library's heaps, of which every thread has its own that
    # keeps what it had: 320 MB for a thread that once decoded an image of 80 million pixels.
    "PILLOW_BLOCK_SIZE": "64m",
}
"""What libraries read when they are imported."""


def main() -> None:
    """Run the service until SIGTERM or SIGINT."""
    os.environ.update(ENVIRONMENT)
    set_up_logging()
    try:
        if sys.argv[1:2] and sys.argv[1] in ("tokens", "audit", "backup", "restore"):
            from cultivar_service import administration  # it imports what reads the catalog

            administration.run(sys.argv[1:], os.environ)
            return
        config = read_config(sys.argv[1:], os.environ)
    except ValueError as error:
        print(f"cultivar-service: {error}", file=sys.stderr)
        sys.exit(2)
    try:
        asyncio.run(serve(config))
    except StartupRefused as error:
        print(f"cultivar-service: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except Exception:  # The last place that can say it: a traceback in the log and a status for the supervisor.
        logger.exception("the service ended by an internal error")
        sys.exit(1)


def set_up_logging() -> None:
    """Log to stderr, without what libraries say about images."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Pillow says what is odd about images: their senders could fill the log, and Python keeps each text it warned with.
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"PIL\.")


def read_config(arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """Read flags over environment over defaults.

    Raises:
        ValueError: a value can't be used.
    """
    flags = _parser().parse_args(arguments)

    def setting(name: str, default: str) -> str:
        flag: str | None = getattr(flags, name)
        return flag if flag is not None else environment.get(f"CULTIVAR_{name.upper()}") or default

    def file(name: str) -> Path | None:
        path = setting(name, "")
        return Path(path).absolute() if path else None

    critical = setting("critical_free_bytes", "")
    data_dir = Path(setting("data_dir", "cultivar-data")).absolute()
    return Config(
        data_dir=data_dir,
        weights_dir=Path(setting("weights_dir", str(data_dir / "weights"))).absolute(),
        datasets_root=Path(setting("datasets_root", str(data_dir / "sources"))).absolute(),
        grpc_address=Address.parse(setting("grpc_address", "127.0.0.1:50051")),
        metrics_address=Address.parse(setting("metrics_address", "127.0.0.1:9464")),
        device=setting("device", "auto"),
        max_running_jobs=_number("max_running_jobs", setting("max_running_jobs", "0")),
        max_jobs_per_gpu=_number("max_jobs_per_gpu", setting("max_jobs_per_gpu", "5")),
        serving_gpu_bytes=_number("serving_gpu_bytes", setting("serving_gpu_bytes", str(1 << 30))),
        visible_gpus=environment.get("CUDA_VISIBLE_DEVICES"),
        max_queued_images=_number("max_queued_images", setting("max_queued_images", "64")),
        retry_delay_s=_decimal("retry_delay_s", setting("retry_delay_s", "10")),
        priority_ageing=_decimal("priority_ageing", setting("priority_ageing", "1")),
        min_free_bytes=_number("min_free_bytes", setting("min_free_bytes", str(500 << 20))),
        critical_free_bytes=_number("critical_free_bytes", critical) if critical else None,
        keep_runs_days=_number("keep_runs_days", setting("keep_runs_days", "30")),
        keep_versions=_number("keep_versions", setting("keep_versions", "0")),
        max_upload_bytes=_number("max_upload_bytes", setting("max_upload_bytes", str(50 << 30))),
        max_uploads_bytes=_number("max_uploads_bytes", setting("max_uploads_bytes", str(200 << 30))),
        upload_expiry_s=_decimal("upload_expiry_s", setting("upload_expiry_s", "86400")),
        inference_threads=_number("inference_threads", setting("inference_threads", "1")),
        security=Security(
            certificate=file("tls_certificate"),
            key=file("tls_key"),
            client_ca=file("tls_client_ca"),
            tokens_file=file("tokens_file"),
            insecure=_boolean(setting("insecure", "false")),
        ),
    )


async def serve(config: Config) -> None:
    """Run the service until SIGTERM or SIGINT."""
    from cultivar_service.server import Service  # after the environment is set: it imports ONNX Runtime

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    service = Service(config)
    try:
        await service.start()
        # What is there now stays: looking through it at every full collection would hold up requests.
        gc.collect()
        gc.freeze()
        await stop.wait()
        logger.info("draining for at most %g s; trainers are left alone", config.drain_grace_s)
    finally:
        await service.close()
    logger.info("closed")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cultivar-service",
        description="Fine-tunes image classifiers and serves them over gRPC.",
        epilog="Every flag can be set in the environment instead: --data-dir as CULTIVAR_DATA_DIR, and so on. "
        "`cultivar-service tokens --help` makes tokens, `cultivar-service audit --help` tells who changed what, "
        "`cultivar-service backup DIR` keeps what can't be made again, `cultivar-service restore DIR` brings it back.",
        allow_abbrev=False,
    )
    parser.add_argument("--data-dir", metavar="DIR", help="what the service keeps (default: ./cultivar-data)")
    parser.add_argument("--grpc-address", metavar="HOST:PORT", help="default: 127.0.0.1:50051; port 0: any free one")
    parser.add_argument(
        "--metrics-address", metavar="HOST:PORT", help="/metrics and /healthz (default: 127.0.0.1:9464)"
    )
    parser.add_argument("--weights-dir", metavar="DIR", help="pretrained weight files (default: DATA_DIR/weights)")
    parser.add_argument(
        "--datasets-root", metavar="DIR", help="folders that data sets are imported from (default: DATA_DIR/sources)"
    )
    parser.add_argument("--device", metavar="DEVICE", help="predictions: auto, cpu or cuda (default: auto)")
    parser.add_argument(
        "--max-running-jobs", metavar="N", help="jobs that train at a time (default: as many as devices have room for)"
    )
    parser.add_argument(
        "--max-jobs-per-gpu",
        metavar="N",
        help="processes that compute on a GPU, everybody's, at which no job is added (default: 5)",
    )
    parser.add_argument(
        "--serving-gpu-bytes",
        metavar="BYTES",
        help="GPU memory that is kept for predictions, where a GPU computes them (default: 1 GiB)",
    )
    parser.add_argument(
        "--max-queued-images", metavar="N", help="images that may wait for a model version (default: 64)"
    )
    parser.add_argument(
        "--retry-delay-s", metavar="S", help="seconds before a lost job's next attempt, doubling (default: 10)"
    )
    parser.add_argument(
        "--priority-ageing", metavar="POINTS", help="priority that a job gains for each minute it waits (default: 1)"
    )
    parser.add_argument("--inference-threads", metavar="N", help="threads that compute one batch on a CPU (default: 1)")
    parser.add_argument(
        "--min-free-bytes", metavar="N", help="free disk space below which no job or import starts (default: 500 MiB)"
    )
    parser.add_argument(
        "--critical-free-bytes",
        metavar="N",
        help="free disk space below which running jobs and imports are stopped (default: a quarter of that)",
    )
    parser.add_argument("--max-upload-bytes", metavar="N", help="size of one uploaded archive (default: 50 GiB)")
    parser.add_argument(
        "--max-uploads-bytes",
        metavar="N",
        help="size of one token's uploads, or of everybody's where there are no tokens (default: 200 GiB)",
    )
    parser.add_argument(
        "--upload-expiry-s",
        metavar="S",
        help="seconds after its last byte at which an upload that no import uses is discarded (default: a day)",
    )
    parser.add_argument(
        "--keep-runs-days", metavar="N", help="days that the files of ended jobs are kept (default: 30; 0: for ever)"
    )
    parser.add_argument(
        "--keep-versions", metavar="N", help="READY versions of a model that are kept (default: 0, all)"
    )
    parser.add_argument(
        "--tls-certificate", metavar="FILE", help="PEM file of the certificate and its chain: gRPC by TLS"
    )
    parser.add_argument("--tls-key", metavar="FILE", help="PEM file of the certificate's key")
    parser.add_argument(
        "--tls-client-ca", metavar="FILE", help="PEM file: clients need a certificate that it vouches for"
    )
    parser.add_argument(
        "--tokens-file", metavar="FILE", help="let in who has one of these tokens: `tokens add` makes it"
    )
    parser.add_argument(
        "--insecure",
        action="store_const",
        const="true",
        help="let gRPC listen, without TLS and tokens, where other machines can connect",
    )
    return parser


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"CULTIVAR_{name.upper()} {text!r}: use a whole number") from None


def _decimal(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"CULTIVAR_{name.upper()} {text!r}: use a number") from None


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "1", "yes"):
        return True
    if text.lower() in ("false", "0", "no"):
        return False
    raise ValueError(f"CULTIVAR_INSECURE {text!r}: use true or false")


if __name__ == "__main__":
    main()
