"""A service in a process of its own, with the scripted trainer: `fuzzed_service.py FOLDER PACKAGE`.

Has a model and a data set `kept`, which no request gone wrong can name to delete it, and `flowers`. Prints its
address and the name of a finished job.
"""

import asyncio
import signal
import sys
from pathlib import Path

from published_models import publish
from running_service import make_config, running

from cultivar_service.__main__ import set_up_logging


async def serve(folder: Path, package: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = {"package": package, "max_queued_jobs": 100_000, "describe_deadline_s": 10.0, "preview_deadline_s": 10.0}
    settings |= {"inspect_deadline_s": 10.0}
    async with running(make_config(folder, **settings)) as (service, client):
        for model in ("kept", "flowers"):
            await publish(service, folder / model, model=model)
            await client.import_flowers(model)
        job = await client.train(dataset="kept", model="trained")
        print(service.grpc_address, job.name, flush=True)
        await stop.wait()


if __name__ == "__main__":
    set_up_logging()
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
