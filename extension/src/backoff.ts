/** Waiting times between restarts: 0.5 s doubling up to 30 s; none after too many deaths in a short time.
 * A run that lasted long enough forgives the deaths before it. */
export class Backoff {
  private deaths: number[] = [];

  constructor(
    private readonly limit = 6,
    private readonly windowMs = 180_000,
  ) {}

  /** Records a death at `now` and says how long to wait before the next start; undefined: give up. */
  next(now: number): number | undefined {
    this.deaths = this.deaths.filter((time) => now - time < this.windowMs);
    this.deaths.push(now);
    if (this.deaths.length > this.limit) return undefined;
    return Math.min(500 * 2 ** (this.deaths.length - 1), 30_000);
  }

  reset(): void {
    this.deaths = [];
  }
}
