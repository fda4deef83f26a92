// Calls one method of npm's dicomweb-client, in Node: {client, method, options} in JSON on standard input, {result} or
// {status, message} in JSON on standard output. Bytes are {base64}, both ways.
"use strict";

const { readFileSync } = require("node:fs");
const { api } = require("dicomweb-client");

console.debug = console.error; // standard output is for the answer alone, and one method prints what it does

// xhr2 takes ArrayBuffers and makes null of JSON that cannot be read, as browsers do; xmlhttprequest-ssl does neither.
globalThis.XMLHttpRequest = class extends require("xhr2") {
  setRequestHeader(name, value) {
    this.hasAccept ||= name.toLowerCase() === "accept";
    super.setRequestHeader(name, value);
  }

  send(data) {
    if (!this.hasAccept) super.setRequestHeader("Accept", "*/*"); // browsers do (Fetch Standard §5.5)
    super.send(data);
  }
};

function decoded(key, value) {
  return value?.base64 === undefined ? value : new Uint8Array(Buffer.from(value.base64, "base64")).buffer;
}

function encoded(key, value) {
  return value instanceof ArrayBuffer ? { base64: Buffer.from(value).toString("base64") } : value;
}

async function main() {
  const { client: given, method, options } = JSON.parse(readFileSync(0, "utf8"), decoded);
  const client = new api.DICOMwebClient({ ...given, verbose: false });
  try {
    return { result: await client[method](options) };
  } catch (error) {
    return { status: error.status ?? null, message: error.message };
  }
}

main().then((answer) => process.stdout.write(JSON.stringify(answer, encoded)));
