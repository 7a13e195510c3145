"""The part of TrainingService that tells of the host's GPUs."""

from cultivar.v1 import training_pb2
from cultivar_service.api.fields import check_not_negative
from cultivar_service.caller import Caller
from cultivar_service.errors import Unavailable
from cultivar_service.placement.occupancy import Look, Occupancy
from cultivar_service.placement.rooms import Prediction, choose, reason, refusals


class GpuApi:
    """Answers who has what of the GPUs."""

    def __init__(self, occupancy: Occupancy) -> None:
        self._occupancy = occupancy

    async def list_gpus(self, request: training_pb2.ListGpusRequest, _: Caller) -> training_pb2.ListGpusResponse:
        """Answer the GPUs that jobs may use, and where a job of a given size would go."""
        needed_bytes = check_not_negative(request.memory_bytes, "memory_bytes")
        look = await self._occupancy.look()
        if look.silence:
            raise Unavailable(f"{look.silence}: try again later", reason="GPU_DRIVER_SILENT", retry_after_s=5)
        return training_pb2.ListGpusResponse(
            gpus=_messages(look),
            placement=_placement(look, needed_bytes) if needed_bytes else "",
            cores=look.host.cores,
            cores_used=look.host.cores_used,
            host_total_bytes=look.host.total_bytes,
            host_free_bytes=look.host.free_bytes,
        )


def _messages(look: Look) -> list[training_pb2.Gpu]:
    return [
        training_pb2.Gpu(
            index=room.gpu.index,
            uuid=room.gpu.uuid,
            name=room.gpu.name,
            total_bytes=room.gpu.total_bytes,
            used_bytes=room.gpu.used_bytes,
            reserved_bytes=room.reserved_bytes,
            free_bytes=room.free_bytes,
            processes=[
                training_pb2.GpuProcess(pid=one.pid, used_bytes=one.used_bytes, owner=look.owners.get(one.pid, ""))
                for one in room.gpu.processes
            ],
            max_processes=room.max_processes,
        )
        for room in sorted(look.rooms, key=lambda room: room.gpu.index)
    ]


def _placement(look: Look, needed_bytes: int) -> str:
    if not look.rooms:
        return "cpu: there is no GPU that jobs may use"
    prediction = Prediction(needed_bytes=needed_bytes, is_measured=True, source="as asked")
    room = choose(look.rooms, prediction)
    return f"no room: {refusals(look.rooms, prediction)}" if room is None else reason(room, prediction)
