// Makes the page that server.js serves, with a package that is only there during the build.
import { mkdirSync, writeFileSync } from "node:fs";
import mustache from "mustache";

mkdirSync("dist", { recursive: true });
writeFileSync("dist/page.txt", mustache.render("Hello from {{manager}}!\n", { manager: "pnpm" }));
