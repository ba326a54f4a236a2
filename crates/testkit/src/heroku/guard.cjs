// Refuses connections to anywhere but this machine, and notes who wanted one. With GUARD_TO, port
// 443 of names below localhost is that port; with GUARD_SSH, port 80 of this machine is that one.
const fs = require("node:fs");
const net = require("node:net");

const LOOPBACK = ["localhost", "127.0.0.1", "::1"];
const connect = net.Socket.prototype.connect;

net.Socket.prototype.connect = function (...args) {
  const isNormalized = Array.isArray(args[0]);
  let options = isNormalized ? args[0][0] : args[0];
  if (options === null || typeof options !== "object") {
    options = typeof options === "string" ? { path: options } : { port: options, host: args[1] };
  }
  const host = options.path ? "localhost" : options.host || "localhost";
  if (process.env.GUARD_TO && host.endsWith(".localhost") && Number(options.port) === 443) {
    options.host = "127.0.0.1";
    options.port = Number(process.env.GUARD_TO);
  } else if (process.env.GUARD_SSH && LOOPBACK.includes(host) && Number(options.port) === 80) {
    options.port = Number(process.env.GUARD_SSH);
  } else if (!LOOPBACK.includes(host)) {
    fs.appendFileSync(process.env.GUARD_LOG, `${host} ${process.argv.slice(2).join(" ")}\n`);
    process.nextTick(() => this.destroy(new Error(`refused by the test: ${host}`)));
    return this;
  }
  return connect.apply(this, args);
};
