import type { ToExtension } from "../src/chat/messages";

declare function acquireVsCodeApi(): { postMessage(message: ToExtension): void };

const api = acquireVsCodeApi();

export function post(message: ToExtension): void {
  api.postMessage(message);
}
