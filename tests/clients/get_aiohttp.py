"""Fetches one address with aiohttp, which reads the proxy's address from the environment only when told to."""
import asyncio
import sys

import aiohttp


async def main():
    async with aiohttp.ClientSession(trust_env=True, raise_for_status=True) as session:
        async with session.get(sys.argv[1]) as response:
            sys.stdout.write(await response.text())


asyncio.run(main())
