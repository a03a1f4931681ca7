// A typed mirror of the daemon's own requests (docs/protocol.md). No logic.
// The webview imports the plain types, so nothing here may depend on `vscode`.

export interface Position {
  line: number;
  character: number;
}

export interface Range {
  start: Position;
  end: Position;
}

export interface Citation {
  /** Relative to the workspace, with `/`; absolute in a folder of documentation outside of it. */
  path: string;
  range: Range;
  /** The page of a PDF, counted from one; the range is then of the text that was read from it. */
  page?: number;
  quote?: string;
  symbol?: string | null;
}

export type Mention =
  | { kind: "file" | "folder"; path: string; name?: string }
  | { kind: "docs" }
  | { kind: "symbol"; path: string; name: string; range?: Range }
  | { kind: "attachment"; name: string; text: string };

export interface ChatParams {
  conversationId?: string;
  parentMessageId?: string | null;
  message: string;
  mentions: Mention[];
  textDocument?: { uri: string };
  selection?: Range;
  partialResultToken: string;
}

export type ChatPartial =
  | { kind: "context"; items: Citation[] }
  | { kind: "text"; text: string }
  | { kind: "step"; title: string; state: string };

export interface ChatResult {
  conversationId: string;
  messageId: string;
  userMessageId?: string;
  answer: string;
  citations: Citation[];
  confidence?: number | null;
  model: string | null;
}

export interface EditHunk {
  id: string;
  /** Whole lines of the document; empty where lines are only added. */
  range: Range;
  oldText: string;
  newText: string;
}

export interface EditParams {
  textDocument: { uri: string; version: number };
  range: Range;
  instruction: string;
  previousEditId?: string;
  partialResultToken: string;
}

export type EditPartial = { kind: "hunk"; hunk: EditHunk } | { kind: "step"; title: string; state: string };

export interface Finding {
  severity?: string;
  message: string;
  tool?: string;
}

export interface EditResult {
  editId: string;
  hunks: EditHunk[];
  validation?: Finding[];
  model: string | null;
}

export interface ConversationSummary {
  id: string;
  title: string;
  updatedAt: number;
  messages?: number;
  /** What a search found in it. */
  excerpt?: string;
}

export interface StoredMessage {
  id: string;
  parentId?: string | null;
  role: string;
  text: string;
  citations?: Citation[];
  state?: string;
  model?: string | null;
}

export interface ModelStatus {
  id: string;
  role: string;
  state: string;
  detail?: string | null;
}

export interface IndexStatus {
  state: string;
  files: number;
  chunks: number;
  pending: number;
  total?: number | null;
  /** Files that could not be parsed and are indexed as plain text; the server names the first few. */
  plain?: { path: string; reason: string }[];
}

/** A folder of documentation that the person's settings name. */
export interface DocsFolder {
  folder: string;
  detail?: string | null;
}

export interface DaemonStatus {
  version: string;
  index: IndexStatus;
  docs?: DocsFolder[];
  models: ModelStatus[];
  network: string;
  activity?: string;
  trusted?: boolean;
}

export interface SearchHit {
  path: string;
  range: Range;
  /** As in a citation. */
  page?: number;
  symbol?: string | null;
  kind?: string | null;
  text: string;
}

export interface CompletionExplanation {
  reason: string | null;
  stages: { name: string; ms: number; detail?: string | null }[];
}

/** What the server's code actions ask of the client. */
export interface EditProposalRequest {
  uri: string;
  range: Range;
  instruction: string;
  title?: string;
}

export interface QuestionRequest {
  uri: string;
  range: Range;
  message: string;
}

export const method = {
  chat: "hearth/chat",
  edit: "hearth/edit",
  resolveEdit: "hearth/edit/resolve",
  undo: "hearth/undo",
  conversations: "hearth/conversations",
  completionEvent: "hearth/completionEvent",
  index: "hearth/index",
  trustChanged: "hearth/trustChanged",
  search: "hearth/search",
  status: "hearth/status",
  statusChanged: "hearth/statusChanged",
  explainCompletion: "hearth/explainCompletion",
} as const;
