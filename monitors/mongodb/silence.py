"""Why no server of MongoDB was found, where pymongo does not say.

pymongo does not tell a server that is silent from one that takes no connections. So each silent
server is connected to once more.
"""

import asyncio
from typing import Any, Final

from pymongo import AsyncMongoClient
from pymongo.errors import NetworkTimeout

from .. import names, polling

_PROBE: Final = 0.1  # of the limit: for connecting to a server that gave no answer


async def reasons(client: AsyncMongoClient[Any], limit: float) -> tuple[list[str], list[Exception]]:
    """Why each silent server is; and the errors of the others that were not found.

    Without a silent server, both are empty.
    """
    servers = client.topology_description.server_descriptions().values()
    unknown = [each for each in servers if not each.is_server_type_known]
    silent = [
        each for each in unknown if each.error is None or isinstance(each.error, NetworkTimeout)
    ]
    told = await asyncio.gather(*(_probe(*each.address, _PROBE * limit) for each in silent))
    if not told:
        return [], []
    return told, [each.error for each in unknown if each not in silent and each.error]


async def _probe(host: str, port: int | None, patience: float) -> str:
    shown = names.shown(host if port is None else f"{host}:{port}")
    failure = f"{shown}: its name was not looked up in time"
    try:
        if port is None:
            connecting = asyncio.open_unix_connection(host)
        else:
            looking_up = asyncio.get_running_loop().getaddrinfo(host, port)
            await asyncio.wait_for(looking_up, patience)
            connecting = asyncio.open_connection(host, port)
        failure = f"{shown} does not answer"
        _, writer = await asyncio.wait_for(connecting, patience)
    except TimeoutError:
        return failure
    except OSError as error:
        return f"{shown}: {polling.in_words(str(error))}"
    writer.transport.abort()
    return f"{shown} takes connections and does not answer"
