import type { ConversationSummary } from "../protocol";

/** A pause in typing after which a search is worth its while. */
const quietMs = 150;

/** Looks conversations up while the person types: one search at a time, and only the latest counts. */
export class HistorySearch {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private latest = 0;

  /** `find` is given `undefined` for all conversations. */
  constructor(
    private readonly find: (query: string | undefined) => Promise<ConversationSummary[]>,
    private readonly show: (found: ConversationSummary[], query: string | undefined) => void,
  ) {}

  type(value: string): void {
    clearTimeout(this.timer);
    const query = value.trim() || undefined;
    const serial = ++this.latest;
    this.timer = setTimeout(
      async () => {
        // What is there stays when a search fails; the next letter tries again.
        const found = await this.find(query).catch(() => undefined);
        if (found && serial === this.latest) this.show(found, query);
      },
      query === undefined ? 0 : quietMs,
    );
  }

  stop(): void {
    clearTimeout(this.timer);
    this.latest++;
  }
}
