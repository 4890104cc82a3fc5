"""Stands in for `api.appnexus.com`, for clients that know no other name: a proxy that ends their TLS at the product.

Runs on the clients' Python: `python front.py API_PORT CA_FILE`. It writes the certificate of the authority that signed
its own, prints its port, and ends with its standard input. `HTTPS_PROXY=http://127.0.0.1:PORT` leads a client to it,
and `REQUESTS_CA_BUNDLE=CA_FILE` makes the client trust it.
"""

from __future__ import annotations

import asyncio
import ssl
import sys

import trustme

NAME = "api.appnexus.com"


class Front:
    """Tunnels to `NAME` alone; requests for another host never leave the machine."""

    def __init__(self, api_port: int, authority: trustme.CA) -> None:
        self._api_port = api_port
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(NAME).configure_cert(self._tls)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a client."""
        try:
            asked = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
            if asked[:2] != [b"CONNECT", f"{NAME}:443".encode()]:
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.start_tls(self._tls)
            api_reader, api_writer = await asyncio.open_connection("127.0.0.1", self._api_port)
            await asyncio.gather(pump(reader, api_writer), pump(api_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass data on until one side closes."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def main(api_port: int, authority_file: str) -> None:
    """Serve until standard input ends."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(authority_file)
    server = await asyncio.start_server(Front(api_port, authority).serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
