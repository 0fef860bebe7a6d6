// WebSocket (RFC 6455) and server-sent events without any dependency: echoes text messages, and ticks at /events.
const crypto = require("crypto");
const http = require("http");

const PAGE = `<!doctype html>
<meta charset="utf-8"><title>WebSocket</title>
<input id="text" placeholder="say something"><pre id="log"></pre>
<script>
const socket = new WebSocket(location.href.replace(/^http/, "ws"));
socket.onmessage = (event) => { log.textContent += event.data + "\\n"; };
text.onchange = () => { socket.send(text.value); text.value = ""; };
</script>
`;

function events(request, response) {
    response.writeHead(200, {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"});
    let n = 0;
    const timer = setInterval(() => response.write(`data: ${++n}\n\n`), 1000);
    request.on("close", () => clearInterval(timer));
}

const server = http.createServer((request, response) => {
    if (request.url === "/events")
        return events(request, response);
    response.writeHead(200, {"Content-Type": "text/html"});
    response.end(PAGE);
});

// One frame of at most 64 KiB: {opcode, payload, length of the whole}, or null while it is not there yet.
function parseFrame(data) {
    if (data.length < 2)
        return null;
    let length = data[1] & 127, at = 2;
    if (length === 126) {
        if (data.length < 4)
            return null;
        length = data.readUInt16BE(2);
        at = 4;
    }
    const end = at + 4 + length;
    if (data.length < end)
        return null;
    const mask = data.subarray(at, at + 4);
    const payload = Buffer.from(data.subarray(at + 4, end)).map((byte, i) => byte ^ mask[i % 4]);
    return {opcode: data[0] & 15, payload, end};
}

function frame(opcode, payload) {
    const head = payload.length < 126 ? Buffer.from([128 | opcode, payload.length])
        : Buffer.from([128 | opcode, 126, payload.length >> 8, payload.length & 255]);
    return Buffer.concat([head, payload]);
}

server.on("upgrade", (request, socket) => {
    const accept = crypto.createHash("sha1")
        .update(request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
    socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
    let pending = Buffer.alloc(0);
    socket.on("error", () => socket.destroy());
    socket.on("data", (data) => {
        pending = Buffer.concat([pending, data]);
        for (let f; (f = parseFrame(pending)); pending = pending.subarray(f.end)) {
            if (f.opcode === 8)
                socket.end(frame(8, f.payload));
            else if (f.opcode === 9)
                socket.write(frame(10, f.payload));
            else if (f.opcode === 1 || f.opcode === 2)
                socket.write(frame(f.opcode, f.payload));
        }
    });
});

server.listen(process.env.PORT || 5000, () => console.log(`listening on port ${server.address().port}`));
process.on("SIGTERM", () => process.exit(0));
