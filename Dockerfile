# Two images: `docker build --target service .` serves models, `docker build --target gpu .` trains them too.
# docs/deployment.md says how to run them.

# A tag, so that a rebuild picks up Debian's and Python's security fixes. For builds that can be repeated bit by bit
# name a digest: --build-arg BASE_IMAGE=python@sha256:...
ARG BASE_IMAGE=python:3.11-slim-bookworm


# What builds: none of it reaches an image.
FROM ${BASE_IMAGE} AS builder
# Bytecode is compiled here, since nobody may write into the image later: without it every start, and every trainer,
# would compile all it imports. UNCHECKED_HASH: the image never changes, so no source is looked at again.
# UV_SYSTEM_CERTS: uv trusts whom the base image trusts, as pip does, and so works behind a company's own authority.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYC_INVALIDATION_MODE=UNCHECKED_HASH \
    UV_COMPILE_BYTECODE=1 \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never \
    UV_SYSTEM_CERTS=1
WORKDIR /build
COPY requirements/build.txt ./
RUN pip install --require-hashes -r build.txt
# The environment's path is the same in every stage: scripts in it name its interpreter.
RUN uv venv /opt/cultivar --python python3
ENV VIRTUAL_ENV=/opt/cultivar


# The dependencies apart from the project, so that a change of code leaves their large layer alone.
# To keep the small image small: no test suites, no converters of ONNX Runtime, and bytecode only of what a service
# imports. A module that this list forgets costs its compilation at every start, nothing else.
FROM builder AS service-dependencies
COPY requirements/service.txt ./
RUN UV_COMPILE_BYTECODE=0 uv pip install --require-hashes -r service.txt \
 && cd /opt/cultivar/lib/python3*/site-packages \
 && rm -rf onnxruntime/quantization onnxruntime/tools onnxruntime/transformers sqlalchemy/testing \
 && find numpy -type d -name tests -prune -exec rm -r {} + \
 && ORT_DISABLE_TELEMETRY=1 /opt/cultivar/bin/python -c "import \
        google.rpc.error_details_pb2, grpc.aio, grpc_health.v1.health, grpc_reflection.v1alpha.reflection, \
        grpc_status.rpc_status, onnxruntime, PIL.ImageOps, prometheus_client.exposition, pynvml, rich.progress, \
        sqlalchemy.dialects.sqlite, typer, yaml; \
        from PIL import Image; Image.init()"


FROM builder AS gpu-dependencies
COPY requirements/gpu.txt ./
RUN uv pip install --require-hashes -r gpu.txt


# The project, alone in an environment that is laid over that of its dependencies.
FROM builder AS project
COPY pyproject.toml README.md ./
COPY protos protos
COPY contract contract
COPY service service
COPY trainer trainer
COPY clients clients
RUN python3 -m hatchling build -t wheel -d wheel \
 && uv pip install --no-deps wheel/*.whl


# What both images share.
FROM ${BASE_IMAGE} AS runtime
# tini is the container's first process. The kernel hands it every orphan, such as the children of a trainer that was
# killed, and it reaps them; the service reaps only its own. It also lets SIGTERM end a service that still starts:
# the kernel ignores signals that a first process has not asked for. It signals the service alone, not its trainers.
# /data is open to every user, as /tmp is, so that a tmpfs there, which takes over its mode but not its owner, and a
# user of the deployment's choice (--user) work too.
RUN apt-get update \
 && apt-get install -y --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/cache/ldconfig/aux-cache \
           /var/log/apt /var/log/dpkg.log /var/log/alternatives.log \
 && groupadd --gid 10001 cultivar \
 && useradd --uid 10001 --gid cultivar --no-create-home --home-dir /tmp --shell /usr/sbin/nologin cultivar \
 && install -d -o cultivar -g cultivar -m 1777 /data \
 && install -d /datasets /weights
COPY --chmod=0644 deploy/healthcheck.py /opt/healthcheck.py
# Caches of libraries (fonts, kernels) go to the home folder: /tmp is the one place that can be written beside /data.
# ORT_DISABLE_TELEMETRY: ONNX Runtime's wheel reports usage to its makers otherwise.
ENV PATH=/opt/cultivar/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    CULTIVAR_DATA_DIR=/data \
    CULTIVAR_DATASETS_ROOT=/datasets \
    CULTIVAR_WEIGHTS_DIR=/weights \
    CULTIVAR_GRPC_ADDRESS=0.0.0.0:50051 \
    CULTIVAR_METRICS_ADDRESS=0.0.0.0:9464
# A number: Kubernetes' runAsNonRoot can't tell of a name whether it is root's.
USER 10001:10001
WORKDIR /tmp
VOLUME /data
EXPOSE 50051 9464
STOPSIGNAL SIGTERM
# Live models are loaded, and their golden images replayed, before the first answer: hence the start period.
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python", "/opt/healthcheck.py"]
# CULTIVAR_INSECURE is not set here: that the network is trusted is for those to say who know the network.
ENTRYPOINT ["tini", "--", "cultivar-service"]


# The service and its trainers, on NVIDIA GPUs where the host has them, else on its CPUs.
FROM runtime AS gpu
# What the container toolkit brings in from the host: CUDA's driver, and NVML for the metrics.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
LABEL org.opencontainers.image.title="cultivar, with trainer" \
      org.opencontainers.image.description="Fine-tunes image classifiers and serves them over gRPC."
COPY --from=gpu-dependencies /opt/cultivar /opt/cultivar
COPY --from=project /opt/cultivar /opt/cultivar


# The service without PyTorch. Last, so that a build that names no target gives the small image.
FROM runtime AS service
LABEL org.opencontainers.image.title="cultivar" \
      org.opencontainers.image.description="Serves image classifiers over gRPC."
COPY --from=service-dependencies /opt/cultivar /opt/cultivar
COPY --from=project /opt/cultivar /opt/cultivar
