"""Buys one picture with a vendor's own client: `python buy.py VENDOR URL KEY JOB`, the job as JSON.

A process of its own: the clients warn on import, which in the suite is an error.
"""

import asyncio
import json
import sys


def with_runware(url, key, job):
    """runware-sdk; it asks its registry for nothing when it is told the kind of task."""
    from runware import Runware

    async def buy():
        async with Runware(api_key=key, transport="rest", http_base_url=url, max_retries=0) as client:
            return await client.run({"taskType": "imageInference", **job})

    return asyncio.run(buy())


def with_bfl(url, key, job):
    """blackforest; its defaults wait a second between two looks."""
    from blackforest import BFLClient
    from blackforest.types.general.client_config import ClientConfig

    client = BFLClient(api_key=key, base_url=url)
    return client.generate("flux-pro-1.1", job, ClientConfig(sync=True, polling_interval=0.1)).model_dump()


if __name__ == "__main__":
    vendor, url, key, job = sys.argv[1:]
    bought = {"runware": with_runware, "bfl": with_bfl}[vendor](url, key, json.loads(job))
    sys.stdout.write(f"\n{json.dumps(bought)}")
