import Default, { first as one, second } from "./parts/steps";
import * as all from "package";
import "./effects.js";
export { third } from "./third";
export * from "./rest";
export { second };

const { read } = require("../files");

export class Uses extends all.Base {
    async walk({ depth, ...rest }, limit = LIMIT, ...more) {
        const later = await import("./later.js");
        for (const step of one(depth)) {
            later.run(step, convert, new Walker(rest), new all.Other());
        }
        try {
            this.state.items.map((item) => item.name);
        } catch (error) {
            report(error);
        }
        return <Default.Part><Panel title={Default}><div /></Panel></Default.Part>;
    }
}
