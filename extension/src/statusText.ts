import type { DaemonState } from "./daemon";
import type { DaemonStatus, ModelStatus } from "./protocol";

export interface StatusText {
  text: string;
  /** Lines of the tooltip. */
  lines: string[];
  severity: "normal" | "warning" | "error";
}

export interface StatusInput {
  state: DaemonState;
  status: DaemonStatus | undefined;
  trusted: boolean;
  /** What the person has asked for and is waiting on, as the extension knows it. */
  working: string | undefined;
}

/** The status bar's words for a state, most urgent first: stopped, restricted, at work, indexing, idle. */
export function statusText({ state, status, trusted, working }: StatusInput): StatusText {
  if (state.kind === "failed") {
    return {
      text: "$(error) Hearth: stopped",
      lines: [state.reason, "Click to restart."],
      severity: "error",
    };
  }
  if (state.kind === "restarting") {
    return { text: "$(sync~spin) Hearth: restarting", lines: ["Its process ended."], severity: "warning" };
  }
  if (state.kind === "starting" || !status) {
    return { text: "$(loading~spin) Hearth: starting", lines: [], severity: "normal" };
  }
  const model = servingModel(status.models);
  const lines = [
    ...status.models.map(modelLine),
    indexLine(status),
    ...plainLines(status),
    ...docsLines(status),
    networkLine(status.network),
  ];
  if (!trusted) lines.unshift("Restricted Mode: suggestions and read-only chat.");
  const failed = status.models.find((candidate) => candidate.state === "failed");
  if (failed && !working) {
    return { text: `$(warning) Hearth: ${failed.role} model failed`, lines, severity: "warning" };
  }
  const name = model ? shortName(model.id) : "no model";
  const activity = working ?? indexActivity(status) ?? stateWord(model) ?? activityWord(status.activity);
  const icon = !trusted
    ? "$(shield)"
    : activity
      ? "$(loading~spin)"
      : status.index.state === "paused"
        ? "$(debug-pause)"
        : "$(flame)";
  const tail = activity ?? (status.index.state === "paused" ? "index paused" : undefined);
  const restricted = trusted ? "" : " (restricted)";
  return { text: `${icon} ${name}${restricted}${tail ? `: ${tail}` : ""}`, lines, severity: "normal" };
}

/** Files done of all files, 0 to 100; undefined while the total is unknown. */
export function indexPercent(status: DaemonStatus): number | undefined {
  const { files, pending, total } = status.index;
  const all = total ?? files + pending;
  if (all <= 0) return undefined;
  return Math.min(100, Math.floor((100 * Math.max(0, all - pending)) / all));
}

function indexActivity(status: DaemonStatus): string | undefined {
  if (status.index.state !== "scanning" && status.index.state !== "starting") return undefined;
  const percent = indexPercent(status);
  return percent === undefined ? "indexing" : `indexing ${percent} %`;
}

function stateWord(model: ModelStatus | undefined): string | undefined {
  return model?.state === "loading" ? "loading model" : undefined;
}

function activityWord(activity: string | undefined): string | undefined {
  return activity === "thinking" || activity === "editing" ? activity : undefined;
}

function servingModel(models: ModelStatus[]): ModelStatus | undefined {
  const usable = models.filter((model) => model.state !== "missing");
  return usable.find((model) => model.role === "chat") ?? usable.find((model) => model.role === "completion");
}

/** A file's worth of a name is too long for the bar: the part before the quantisation is kept. */
export function shortName(id: string): string {
  const name = id.replace(/\.gguf$/i, "").replace(/[-_.](q\d\w*|f16|f32|bf16)$/i, "");
  return name.length > 28 ? `${name.slice(0, 27)}…` : name;
}

function modelLine(model: ModelStatus): string {
  return `${model.role}: ${model.id} – ${model.state}${model.detail ? ` (${model.detail})` : ""}`;
}

function indexLine(status: DaemonStatus): string {
  const { state, files, chunks, pending } = status.index;
  return `index: ${state}, ${files} files, ${chunks} chunks${pending > 0 ? `, ${pending} pending` : ""}`;
}

/** So many files are named in a tooltip. */
const PLAIN_SHOWN = 3;

function plainLines(status: DaemonStatus): string[] {
  const plain = status.index.plain ?? [];
  const lines = plain.slice(0, PLAIN_SHOWN).map(({ path, reason }) => `as plain text: ${path} – ${reason}`);
  if (plain.length > PLAIN_SHOWN)
    lines.push("`hearth index` names more files that are indexed as plain text");
  return lines;
}

/** The folders of documentation with which something is the matter. */
function docsLines(status: DaemonStatus): string[] {
  return (status.docs ?? []).flatMap(({ folder, detail }) => (detail ? [`docs: ${folder} – ${detail}`] : []));
}

function networkLine(network: string): string {
  return network === "offline" ? "network: none, everything stays on this machine" : `network: ${network}`;
}
