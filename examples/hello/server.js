// The smallest real app: one process that answers on $PORT and goes when it is told to.
const http = require("http");

const server = http.createServer((request, response) => {
    response.setHeader("Content-Type", "text/plain; charset=utf-8");
    response.end(`Hello from ${process.env.DAVIT_APP || "here"}, release ${process.env.DAVIT_RELEASE || "none"}\n`);
});

server.listen(process.env.PORT || 5000, () => console.log(`listening on port ${server.address().port}`));
process.on("SIGTERM", () => server.close(() => process.exit(0)));
