import type { Row } from "./rows";
import { Table, type Key } from "@/store/table";
import fs = require("fs");

export interface Walks<T> extends Base, Steps<T> {
    step(depth: number, option?: Option): Promise<Row[]>;
}

export class Uses extends Table<Row> implements Walks<Row>, Closes {
    constructor(private readonly key: Key, ...rest: Array<Part>) {
        super(key as Key);
        fs.readFileSync(rest[0]!.path satisfies string);
    }

    run = (row: Row): row is Special => row.kind === Kind.Special && isSpecial<Row>(row);
}
