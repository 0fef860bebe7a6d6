const express = require("express");
const app = express();

app.get("/", (request, response) => response.type("text").send(`Hello from Node.js ${process.version}\n`));
app.get("/headers", (request, response) => response.json(request.headers));

const server = app.listen(process.env.PORT || 5000, () => console.log(`listening on port ${server.address().port}`));
process.on("SIGTERM", () => server.close(() => process.exit(0)));
