import { Panel } from "./panel";

export function Uses(props: PanelProps) {
    return <Panel onOpen={handleOpen}><span>{props.title}</span><Row /></Panel>;
}
