"""The peers: what each needs installed, what it is configured with, how it is started."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.serving.servers import Server, checkout_path, free_ports

VARIANTS = ("as shipped", "like for like")
REQUIREMENTS = {
    "FastAPI": ("fastapi", "uvicorn[standard]", "python-multipart"),
    "KServe": ("kserve",),
    "LitServe": ("litserve", "python-multipart"),
    # 1.7.1's worker processes need an event loop that newer uvloops no longer make by themselves.
    "MLServer": ("mlserver", "uvloop<0.22"),
    "BentoML": ("bentoml",),
    "TorchServe": ("torchserve", "torch-model-archiver", "torch", "setuptools", "pyyaml"),
}
# The runtime and the decoders are the measured service's own.
SHARED = ("onnxruntime", "numpy", "pillow", "cykooz-resizer", "protobuf")


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """Where things are."""

    repository: Path
    """This one: the peers' programs."""
    checkout: Path
    """The measured one: graph and decoder of `like for like`."""
    workload: Path
    folder: Path
    """For environments and configuration."""
    uv: str

    def python(self, peer: str) -> Path:
        """The peer's interpreter."""
        return self.folder / "environments" / peer.lower() / "bin" / "python"


def peers(site: Site, names: Collection[str]) -> Iterator[Server]:
    """Yield the variants of each peer; what can't run here is told and left out."""
    for name in REQUIREMENTS:
        if name not in names:
            continue
        try:
            install(site, name)
        except NotHere as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        for variant in VARIANTS:
            if variant == "like for like" and not _same_pixels(site, name):
                print(f"{name}, {variant} is left out: our decoder gives other pixels there", file=sys.stderr)
                continue
            yield MAKERS[name](site, variant, free_ports())


class NotHere(Exception):
    """A peer can't be run on this host; the message says why."""


def install(site: Site, name: str) -> None:
    """Make a peer's environment, once.

    Raises:
        NotHere: something that it needs is missing.
    """
    if name == "TorchServe" and shutil.which("java") is None:
        raise NotHere("it needs java (Debian: apt-get install default-jre-headless)")
    folder = site.python(name).parents[1]
    requirements = [*REQUIREMENTS[name], *_shared()]
    mark = folder / "installed.json"
    if mark.exists() and json.loads(mark.read_text()) == requirements:
        return
    print(f"installing {name}", file=sys.stderr)
    steps = (
        [site.uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder)],
        [site.uv, "pip", "install", "-q", "--python", str(site.python(name)), *requirements],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotHere(f"it can't be installed: {done.stderr.strip()[-500:]}")
    mark.write_text(json.dumps(requirements))


def _same_pixels(site: Site, name: str) -> bool:
    command = [str(site.python(name)), "-m", "benchmarks.serving.peers.same_pixels", str(site.workload)]
    return not subprocess.run(command, env={**os.environ, "PYTHONPATH": _path(site)}, check=False).returncode


def _path(site: Site) -> str:
    return os.pathsep.join((str(site.repository), checkout_path(site.checkout)))


def _shared() -> list[str]:
    found = []
    for name in SHARED:
        try:
            # protobuf is each server's own affair, but our contract's stubs need no older one than this.
            found.append("protobuf>=6.31.1" if name == "protobuf" else f"{name}=={version(name)}")
        except PackageNotFoundError:
            continue
    return found


def _server(
    site: Site, name: str, variant: str, port: int, command: Sequence[str], jpeg: str, uint8: str = ""
) -> Server:
    bin_path = os.pathsep.join((str(site.python(name).parent), os.environ["PATH"]))
    environment = {
        **{"PYTHONPATH": _path(site), "PATH": bin_path, "BENCH_VARIANT": variant, "BENCH_PORT": str(port)},
        **{"BENCH_WORKLOAD": str(site.workload), "OMP_WAIT_POLICY": "passive", "BENTOML_DO_NOT_TRACK": "true"},
        "BENTOML_HOME": str(site.folder / "settings" / "bentoml"),
    }
    protocols = {"jpeg": jpeg}
    if uint8 and variant == "like for like":
        protocols["uint8"] = uint8
    return Server(
        name=name,
        variant=variant,
        command=command,
        port=port,
        protocols=protocols,
        environment=environment,
        float_input=variant == "as shipped",
    )


def _fastapi(site: Site, variant: str, port: int) -> Server:
    quiet = () if variant == "as shipped" else ("--no-access-log",)
    command = (str(site.python("FastAPI")), "-m", "uvicorn", "benchmarks.serving.peers.fastapi_app:app")
    protocol = "http-form" if variant == "as shipped" else "http-body"
    return _server(site, "FastAPI", variant, port, (*command, "--port", str(port), *quiet), protocol)


def _kserve(site: Site, variant: str, port: int) -> Server:
    command = (str(site.python("KServe")), "-m", "benchmarks.serving.peers.kserve_app")
    return _server(site, "KServe", variant, port, command, "peer-infer-jpeg", "peer-infer-uint8")


def _litserve(site: Site, variant: str, port: int) -> Server:
    command = (str(site.python("LitServe")), "-m", "benchmarks.serving.peers.litserve_app")
    return _server(site, "LitServe", variant, port, command, "http-form")


def _mlserver(site: Site, variant: str, port: int) -> Server:
    folder = _settings_folder(site, "mlserver", variant)
    # As shipped it computes in a worker process; in its own one there is less to copy.
    workers = {} if variant == "as shipped" else {"parallel_workers": 0}
    ports = {"http_port": port + 1, "grpc_port": port, "metrics_port": port + 2}
    (folder / "settings.json").write_text(json.dumps({"host": "127.0.0.1", **ports, **workers}))
    model = {
        "name": "bench",
        "implementation": "benchmarks.serving.peers.mlserver_runtime.Bench",
        "max_batch_size": 8,
        "max_batch_time": 0.002,
    }
    (folder / "model-settings.json").write_text(json.dumps(model))
    command = (str(site.python("MLServer").with_name("mlserver")), "start", str(folder))
    return _server(site, "MLServer", variant, port, command, "peer-infer-jpeg", "peer-infer-uint8")


def _bentoml(site: Site, variant: str, port: int) -> Server:
    command = (
        *(str(site.python("BentoML").with_name("bentoml")), "serve", "benchmarks.serving.peers.bentoml_service:Bench"),
        *("--host", "127.0.0.1", "--port", str(port), "--working-dir", str(site.repository)),
    )
    return _server(site, "BentoML", variant, port, command, "http-form")


def _torchserve(site: Site, variant: str, port: int) -> Server:
    folder = _settings_folder(site, "torchserve", variant)
    config = folder / "model-config.yaml"
    config.write_text("minWorkers: 1\nmaxWorkers: 1\nbatchSize: 8\nmaxBatchDelay: 2\n")
    handler = site.repository / "benchmarks" / "serving" / "peers" / "torchserve_handler.py"
    archive = (str(site.python("TorchServe").with_name("torch-model-archiver")), "--model-name", "bench")
    subprocess.run(
        [
            *(*archive, "--version", "1", "--handler", str(handler), "--config-file", str(config)),
            *("--export-path", str(folder), "--force"),
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    properties = {
        "inference_address": f"http://127.0.0.1:{port + 1}",
        "management_address": f"http://127.0.0.1:{port + 2}",
        "metrics_address": f"http://127.0.0.1:{port + 3}",
        "grpc_inference_port": port,
        "grpc_management_port": port + 4,
        "disable_token_authorization": "true",
        "model_store": folder,
        "load_models": "bench.mar",
    }
    (folder / "config.properties").write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    command = (
        *(str(site.python("TorchServe").with_name("torchserve")), "--start", "--foreground"),
        *("--ts-config", str(folder / "config.properties"), "--model-store", str(folder)),
    )
    server = _server(site, "TorchServe", variant, port, command, "torchserve")
    # Its pid file lies in the folder for temporary files: a second server would find the first one's.
    environment = {**server.environment, "TMPDIR": str(folder), "LOG_LOCATION": str(folder)}
    environment["METRICS_LOCATION"] = str(folder)
    return replace(server, environment=environment)


def _settings_folder(site: Site, name: str, variant: str) -> Path:
    folder = site.folder / "settings" / f"{name}-{variant.replace(' ', '-')}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


MAKERS: dict[str, Callable[[Site, str, int], Server]] = {
    "FastAPI": _fastapi,
    "KServe": _kserve,
    "LitServe": _litserve,
    "MLServer": _mlserver,
    "BentoML": _bentoml,
    "TorchServe": _torchserve,
}
