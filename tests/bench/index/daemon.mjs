// `hearth lsp` as an editor uses it.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

export class Daemon {
  #child;
  #buffer = Buffer.alloc(0);
  #waiting = new Map();
  #next = 1;

  constructor(program, folder, env) {
    this.folder = folder;
    this.#child = spawn(program, ["lsp"], { env, stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdout.on("data", (data) => this.#receive(data));
    this.#child.on("close", (code) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`the daemon ended with ${code}`));
    });
  }

  #receive(data) {
    this.#buffer = Buffer.concat([this.#buffer, data]);
    for (;;) {
      const end = this.#buffer.indexOf("\r\n\r\n");
      if (end < 0) return;
      const length = Number(/Content-Length: (\d+)/i.exec(this.#buffer.subarray(0, end).toString())[1]);
      if (this.#buffer.length < end + 4 + length) return;
      const message = JSON.parse(this.#buffer.subarray(end + 4, end + 4 + length).toString());
      this.#buffer = this.#buffer.subarray(end + 4 + length);
      if (message.method && message.id !== undefined) this.#send({ id: message.id, result: null });
      const waiting = message.method ? undefined : this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error) waiting?.reject(new Error(JSON.stringify(message.error)));
      else waiting?.resolve(message.result);
    }
  }

  #send(message) {
    const body = JSON.stringify({ jsonrpc: "2.0", ...message });
    this.#child.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  request(method, params) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#send({ id, method, params });
    });
  }

  notify(method, params) {
    this.#send({ method, params });
  }

  uri(path = "") {
    return pathToFileURL(`${this.folder}/${path}`).href;
  }

  async start() {
    const folder = { uri: this.uri(), name: "corpus" };
    await this.request("initialize", { processId: process.pid, workspaceFolders: [folder], capabilities: {} });
    this.notify("initialized", {});
  }

  /** Waits until the index holds every file. */
  async ready() {
    for (;;) {
      const { index } = await this.request("hearth/status", {});
      if (index.state === "ready") return index;
      if (index.state === "failed") throw new Error(`the index failed: ${index.detail}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Most memory that the daemon has held, in bytes; its workers apart. */
  peakMemory() {
    const line = /VmHWM:\s*(\d+) kB/.exec(readFileSync(`/proc/${this.#child.pid}/status`, "utf8"));
    return Number(line[1]) * 1024;
  }

  async stop() {
    await this.request("shutdown", null);
    const closed = new Promise((resolve) => this.#child.on("close", resolve));
    this.notify("exit");
    await closed;
  }
}
