"""A web instance that is a process of its own, to be killed: answers every request with its name, 2 ms after it has all of
it. web_process.py NAME ADDRESS PORT"""
import asyncio
import sys

name, address, port = sys.argv[1].encode(), sys.argv[2], int(sys.argv[3])


async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            _, found, rest = head.partition(b"content-length:")
            await reader.readexactly(int(rest.split(b"\r\n")[0]) if found else 0)
            await asyncio.sleep(0.002)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(name), name))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    server = await asyncio.start_server(serve, address, port, reuse_address=True)
    await server.serve_forever()

asyncio.run(main())
