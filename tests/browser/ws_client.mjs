/* node ws_client.mjs URL COMMAND...: sends each when the one before is
   answered, and prints what came as JSON. */
import WebSocket from "ws";

const [url, ...commands] = process.argv.slice(2);
const socket = new WebSocket(url, "nntp");
const lines = [];
let rest = "";

socket.on("message", (octets) => {
  rest += octets.toString("latin1");
  const all = rest.split("\r\n");
  rest = all.pop();
  for (const line of all) {
    lines.push(line);
    if (commands.length > 0) socket.send(commands.shift() + "\r\n");
  }
});
socket.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
socket.on("close", (code) => {
  console.log(JSON.stringify({lines, code, protocol: socket.protocol}));
});
