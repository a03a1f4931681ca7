import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  type LanguageClientOptions,
  ProgressType,
  RevealOutputChannelOn,
} from "vscode-languageclient/node";
import { Backoff } from "./backoff";
import { findServer } from "./binary";
import { type DaemonStatus, method } from "./protocol";

export type DaemonState =
  | { kind: "starting" }
  | { kind: "running" }
  | { kind: "restarting"; delayMs: number }
  | { kind: "failed"; reason: string };

/** One line that a person can act on, of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The daemon as the rest of the extension sees it: it starts, is asked, dies and comes back.
 * Each start is a new language client, so no state of a dead connection is carried over. */
export class Daemon implements vscode.Disposable {
  private client: LanguageClient | undefined;
  private process: ChildProcess | undefined;
  private lastWords = "";
  private readonly backoff = new Backoff();
  private timer: NodeJS.Timeout | undefined;
  private disposed = false;
  private readonly stateEmitter = new vscode.EventEmitter<DaemonState>();
  private readonly statusEmitter = new vscode.EventEmitter<DaemonStatus>();
  readonly onState = this.stateEmitter.event;
  readonly onStatus = this.statusEmitter.event;
  state: DaemonState = { kind: "starting" };
  status: DaemonStatus | undefined;

  constructor(
    private readonly extensionFolder: string,
    private readonly log: vscode.LogOutputChannel,
    private readonly middleware: NonNullable<LanguageClientOptions["middleware"]>,
  ) {}

  get running(): boolean {
    return this.state.kind === "running";
  }

  async start(): Promise<void> {
    this.setState({ kind: "starting" });
    try {
      findServer(this.extensionFolder, process.env);
    } catch (error) {
      // Starting again would not help: the program is not there.
      this.log.error(messageOf(error));
      this.setState({ kind: "failed", reason: messageOf(error) });
      return;
    }
    const client = this.newClient();
    this.client = client;
    try {
      await client.start();
    } catch (error) {
      this.died(client, messageOf(error));
      return;
    }
    if (this.client !== client) return;
    this.setState({ kind: "running" });
    void client.sendRequest<DaemonStatus>(method.status, {}).then(
      (status) => this.setStatus(status),
      (error) => this.log.warn(`status: ${messageOf(error)}`),
    );
  }

  /** A restart that the person asked for: earlier deaths are forgotten. */
  async restart(): Promise<void> {
    this.backoff.reset();
    clearTimeout(this.timer);
    await this.stop();
    await this.start();
  }

  /** Sends a request; rejects with a sentence for the person when the daemon is not there. */
  async request<R>(name: string, params: object, token?: vscode.CancellationToken): Promise<R> {
    const client = this.client;
    if (!client || !this.running) throw new Error(this.whyNotRunning());
    return token ? client.sendRequest<R>(name, params, token) : client.sendRequest<R>(name, params);
  }

  /** A request whose partial results arrive while it runs. */
  async stream<P, R>(
    name: string,
    params: object,
    onPartial: (partial: P) => void,
    token: vscode.CancellationToken,
  ): Promise<R> {
    const client = this.client;
    if (!client || !this.running) throw new Error(this.whyNotRunning());
    const partialResultToken = randomUUID();
    const subscription = client.onProgress(new ProgressType<P>(), partialResultToken, onPartial);
    try {
      return await client.sendRequest<R>(name, { ...params, partialResultToken }, token);
    } catch (error) {
      // The client reports a lost connection in its own words; the person needs ours.
      if (!token.isCancellationRequested && this.client !== client) throw new Error(this.whyNotRunning());
      if (!token.isCancellationRequested && !this.running) throw new Error(this.whyNotRunning());
      throw error;
    } finally {
      subscription.dispose();
    }
  }

  notify(name: string, params: object): void {
    if (!this.client || !this.running) return;
    this.client
      .sendNotification(name, params)
      .catch((error) => this.log.warn(`${name}: ${messageOf(error)}`));
  }

  toUri(uri: vscode.Uri): string {
    return this.client?.code2ProtocolConverter.asUri(uri) ?? uri.toString();
  }

  async toWorkspaceEdit(edit: unknown): Promise<vscode.WorkspaceEdit> {
    const converter = this.client?.protocol2CodeConverter;
    if (!converter) throw new Error(this.whyNotRunning());
    type Wire = Parameters<typeof converter.asWorkspaceEdit>[0];
    return (await converter.asWorkspaceEdit(edit as NonNullable<Wire>)) ?? new vscode.WorkspaceEdit();
  }

  private newClient(): LanguageClient {
    const client: LanguageClient = new LanguageClient("hearth", "Hearth", () => this.spawn(), {
      documentSelector: [{ scheme: "file" }, { scheme: "untitled" }],
      outputChannel: this.log,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationOptions: () => ({ trusted: vscode.workspace.isTrusted, clientCommands: true }),
      // Answered by `start`, which restarts: the client itself must not open a dialog.
      initializationFailedHandler: () => false,
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => {
          // Not awaited: the client first finishes closing, then it is replaced.
          setTimeout(() => this.died(client, this.lastWords || "the connection closed"), 0);
          return { action: CloseAction.DoNotRestart, handled: true };
        },
      },
      middleware: this.middleware,
      synchronize: { configurationSection: "hearth" },
    });
    client.onNotification(method.statusChanged, (status: DaemonStatus) => this.setStatus(status));
    return client;
  }

  private async spawn(): Promise<ChildProcess> {
    const program = findServer(this.extensionFolder, process.env);
    const level =
      vscode.workspace.getConfiguration("hearth").inspect<string>("log.level")?.globalValue ?? "info";
    const args = level === "debug" ? ["lsp", "-v"] : ["lsp"];
    const child = spawn(program, args, { cwd: this.extensionFolder, stdio: ["pipe", "pipe", "pipe"] });
    this.process = child;
    this.lastWords = "";
    child.stderr.on("data", (data: Buffer) => {
      const lines = data.toString("utf8").trim().split("\n");
      this.lastWords = lines.at(-1)?.slice(0, 300) ?? "";
    });
    child.on("error", (error) => {
      this.lastWords = messageOf(error);
    });
    this.log.info(`started ${program} (process ${child.pid ?? "?"})`);
    return child;
  }

  private died(client: LanguageClient, reason: string): void {
    if (this.client !== client || this.disposed) return;
    this.client = undefined;
    this.process?.kill();
    this.process = undefined;
    this.status = undefined;
    this.log.error(`the daemon ended: ${reason}`);
    void client.dispose().catch(() => undefined);
    const delayMs = this.backoff.next(Date.now());
    if (delayMs === undefined) {
      this.setState({ kind: "failed", reason });
      return;
    }
    this.setState({ kind: "restarting", delayMs });
    this.timer = setTimeout(() => void this.start(), delayMs);
  }

  private async stop(): Promise<void> {
    const { client, process: child } = this;
    this.client = undefined;
    this.process = undefined;
    this.status = undefined;
    try {
      if (client?.isRunning()) await client.stop(2_000);
    } catch (error) {
      this.log.warn(`stop: ${messageOf(error)}`);
    }
    child?.kill("SIGKILL");
  }

  private whyNotRunning(): string {
    switch (this.state.kind) {
      case "failed":
        return `Hearth has stopped (${this.state.reason}). Run “Hearth: Restart”, or see “Hearth: Show Log”.`;
      case "running":
        return "Hearth’s process ended and was started again. Please try once more.";
      default:
        return "Hearth is starting. Please try again in a moment.";
    }
  }

  private setState(state: DaemonState): void {
    this.state = state;
    void vscode.commands.executeCommand("setContext", "hearth.running", state.kind === "running");
    this.stateEmitter.fire(state);
  }

  private setStatus(status: DaemonStatus): void {
    this.status = status;
    this.statusEmitter.fire(status);
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    clearTimeout(this.timer);
    await this.stop();
    this.stateEmitter.dispose();
    this.statusEmitter.dispose();
  }
}
