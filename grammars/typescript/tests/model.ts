import type { Base } from "./base";

export const LIMIT: number = 10;

/** A point. */
export interface Point<T> extends Base {
  /** Across. */
  readonly x: T;
  y?: number;
  move(dx: number): void;
  (call: string): void;
}

export type Options = {
  name: string;
  callback(value: string): void;
};

type Union = "a" | "b";

export enum Color {
  Red,
  Green = "green",
}

declare enum Hidden {
  One,
}

export abstract class Shape<T extends object> implements Point<T> {
  private readonly sides: number = 3;
  static count = 0;

  constructor(private name: string, public x: T) {
    super();
  }

  abstract area(): number;

  get label(): string {
    return this.name;
  }

  handle = (event: Event): void => {};

  @log
  protected async draw<K>(
    context: K,
    options?: Options,
  ): Promise<void> {
    const local = 1;
  }
}

@Injectable()
export class Service {}

// Overloads.
export function parse(text: string): Point<number>;
export function parse(text: number): Point<number>;
export function parse(text: unknown): Point<number> {
  return null!;
}

namespace Geometry {
  export const origin = 0;
  export function distance(a: number): number {
    return a;
  }
}

declare module "external" {
  export function load(path: string): void;
}

declare global {
  interface Window {
    app: string;
  }
}

declare function ambient(value: string): void;

export const assertPoint = (value: unknown): value is Point<number> => true;

export default class extends Shape<{}> {}
