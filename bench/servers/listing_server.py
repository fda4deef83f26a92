"""An account whose inbox and receipts are listed, in a process of its own: every blob stored, nothing kept."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import parse_qs, urlsplit

from bench.programs import port_of

PAGE = 5000
_LINE = "HTTP/1.1 {} X\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n{}\r\n"
_NOT_FOUND = "x-ms-error-code: BlobNotFound\r\n"
_WRITTEN = 'ETag: "0x1"\r\nLast-Modified: Fri, 02 Jan 2026 10:00:00 GMT\r\n'
_NO_MESSAGES = "x-ms-approximate-messages-count: 0\r\n"
_BLOB = (
    "<Blob><Name>site-a/2026/01/patient {0:08}/image.dcm</Name><Properties>"
    "<Creation-Time>Fri, 02 Jan 2026 10:00:00 GMT</Creation-Time>"
    "<Last-Modified>Fri, 02 Jan 2026 10:00:00 GMT</Last-Modified><Etag>0x8DE{1}{0:012X}</Etag>"
    "<Content-Length>524288</Content-Length><Content-Type>application/octet-stream</Content-Type><Content-Encoding />"
    "<Content-Language /><Content-CRC64 /><Content-MD5>sQqNsWTgdUEFt6mb5y4/5Q==</Content-MD5><Cache-Control />"
    "<Content-Disposition /><BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier>"
    "<AccessTierInferred>true</AccessTierInferred><LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
    "<ServerEncrypted>true</ServerEncrypted></Properties>{2}<OrMetadata /></Blob>"
)
_METADATA = "<Metadata><etag>0x8DE0{0:012X}</etag><state>final</state><disposition>keep</disposition></Metadata>"


@contextmanager
def listing_server(blobs: int) -> Iterator[str]:
    """Run the server in another process and give the account's connection string."""
    with port_of("bench.servers.listing_server", "--blobs", str(blobs)) as port:
        address = f"http://127.0.0.1:{port}/bench"
        yield f"AccountName=bench;AccountKey=YQ==;BlobEndpoint={address};QueueEndpoint={address}"


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, blobs: int) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lengths = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
            await reader.readexactly(int(lengths[0].split(":")[1]) if lengths else 0)
            method, target, _ = head.split(" ", 2)
            writer.write(_answer(method, target, blobs))
            await writer.drain()
    writer.close()


def _answer(method: str, target: str, blobs: int) -> bytes:
    query = parse_qs(urlsplit(target).query)
    if query.get("comp") == ["list"]:
        page = _page("dicom-receipts" in target, int(query.get("marker", ["0"])[0]), blobs).encode()
        return _LINE.format(200, len(page), "").encode() + page
    if query.get("comp") == ["metadata"]:
        return _LINE.format(200, 0, _NO_MESSAGES).encode()
    return _LINE.format(*((201, 0, _WRITTEN) if method == "PUT" else (404, 0, _NOT_FOUND))).encode()


def _page(of_receipts: bool, first: int, blobs: int) -> str:
    end = min(first + PAGE, blobs)
    rows = (_BLOB.format(n, int(of_receipts), _METADATA.format(n) if of_receipts else "") for n in range(first, end))
    marker = f"<NextMarker>{end}</NextMarker>" if end < blobs else "<NextMarker />"
    return (
        '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://bench/" '
        f'ContainerName="c"><MaxResults>{PAGE}</MaxResults><Blobs>{"".join(rows)}</Blobs>{marker}</EnumerationResults>'
    )


async def _main(blobs: int) -> None:
    server = await asyncio.start_server(lambda r, w: _serve(r, w, blobs), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blobs", type=int, required=True)
    asyncio.run(_main(parser.parse_args().blobs))
