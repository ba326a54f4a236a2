import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import ms from "ms";

const page = readFileSync("dist/page.txt");

createServer((request, response) => {
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  response.end(request.url === "/uptime" ? `${ms(Math.round(process.uptime() * 1000))}\n` : page);
}).listen(process.env.PORT);
