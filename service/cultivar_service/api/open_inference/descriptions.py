"""Describes versions in the Open Inference Protocol's messages: metadata, configuration, statistics."""

import json

from cultivar.open_inference import open_inference_pb2 as pb
from cultivar_service.api.answering import provenance
from cultivar_service.api.open_inference import inputs, outputs
from cultivar_service.serving.engine import LoadedVersion
from cultivar_service.serving.statistics import Duration, VersionStatistics


def metadata(loaded: LoadedVersion, versions: list[str]) -> pb.ModelMetadataResponse:
    """Tell what a version takes and gives, beside the numbers of all READY versions."""
    tensor = pb.ModelMetadataResponse.TensorMetadata
    origin = provenance(loaded)
    return pb.ModelMetadataResponse(
        name=loaded.model,
        versions=versions,
        platform="onnx_onnxv1",
        inputs=[tensor(name=inputs.NAME, datatype="UINT8", shape=[-1, *_pixels(loaded)])],
        outputs=[tensor(name=name, datatype="FP32", shape=[-1, len(loaded.class_ids)]) for name in outputs.NAMES],
        properties={
            "version": loaded.name,
            "architecture": str(loaded.manifest.get("architecture", "")),
            "training_job": origin.training_job,
            "onnx_sha256": origin.onnx_sha256,
            "execution_provider": origin.execution_provider,
            "preprocessing": json.dumps(loaded.preprocessing.to_json()),
            "class_ids": json.dumps(loaded.class_ids),
            "class_names": json.dumps(loaded.class_names, ensure_ascii=False),
        },
    )


def config(loaded: LoadedVersion, max_images: int) -> pb.ModelConfig:
    """Tell how a version is served."""
    return pb.ModelConfig(
        name=loaded.model,
        platform="onnxruntime_onnx",
        backend="onnxruntime",
        max_batch_size=max_images,
        input=[
            pb.ModelInput(
                name=inputs.NAME, data_type=pb.TYPE_UINT8, format=pb.ModelInput.FORMAT_NHWC, dims=_pixels(loaded)
            )
        ],
        output=[
            pb.ModelOutput(
                name=name, data_type=pb.TYPE_FP32, dims=[len(loaded.class_ids)], label_filename="manifest.json"
            )
            for name in outputs.NAMES
        ],
        dynamic_batching=pb.ModelDynamicBatching(),
    )


def statistics(model: str, version: int, counts: VersionStatistics) -> pb.ModelStatistics:
    """Tell what a version has done."""
    figures = counts.read()
    return pb.ModelStatistics(
        name=model,
        version=str(version),
        last_inference=figures.last_inference_ms,
        inference_count=figures.inference.count,
        execution_count=sum(one.count for one in figures.batches.values()),
        inference_stats=pb.InferStatistics(
            success=_duration(figures.success),
            fail=_duration(figures.failure),
            queue=_duration(figures.queue),
            compute_input=_duration(figures.decode),
            compute_infer=_duration(figures.inference),
            compute_output=_duration(figures.output),
        ),
        batch_stats=[
            pb.InferBatchStatistics(batch_size=size, compute_infer=_duration(one))
            for size, one in sorted(figures.batches.items())
        ],
    )


def _pixels(loaded: LoadedVersion) -> list[int]:
    return [loaded.preprocessing.size, loaded.preprocessing.size, loaded.preprocessing.channels]


def _duration(duration: Duration) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=duration.count, ns=duration.ns)
