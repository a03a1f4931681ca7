//! The editor's own display of progress while a workspace is indexed.

use serde_json::{Value, json};
use tower_lsp::jsonrpc::Id;

use crate::output::Client;

const TOKEN: &str = "hearth/index";

/// Whether the editor shows progress at the moment.
#[derive(Default)]
pub struct WorkDone {
    state: State,
    /// Whether there is anything to show, as of the last status.
    busy: bool,
    /// The most files that were pending since the work began: all of it, as far as is known.
    all: u64,
}

#[derive(Default, PartialEq, Eq)]
enum State {
    /// Nothing is shown.
    #[default]
    Hidden,
    /// The editor was asked for a display.
    Asked(Id),
    /// The display is there, with this percentage.
    Shown(u64),
    /// The editor refused; it is not asked again.
    Refused,
}

impl WorkDone {
    /// Begins, moves or ends the display, as `status` (that of `hearth/status`) has it.
    pub fn show(&mut self, client: &Client, status: &Value) {
        let index = &status["index"];
        let busy = matches!(index["state"].as_str(), Some("starting" | "scanning"));
        self.busy = busy;
        let pending = index["pending"].as_u64().unwrap_or(0);
        self.all = if busy { self.all.max(pending) } else { 0 };
        let done = self.all.saturating_sub(pending);
        let percentage = (done * 100).checked_div(self.all).unwrap_or(0);
        match &self.state {
            State::Hidden if busy => {
                let params = json!({ "token": TOKEN });
                self.state =
                    State::Asked(client.request("window/workDoneProgress/create", &params));
            }
            State::Shown(_) if !busy => {
                notify(client, &json!({ "kind": "end" }));
                self.state = State::Hidden;
            }
            State::Shown(shown) if *shown != percentage => {
                let message = format!("{done}/{} files", self.all);
                notify(
                    client,
                    &json!({ "kind": "report", "percentage": percentage, "message": message }),
                );
                self.state = State::Shown(percentage);
            }
            _ => {}
        }
    }

    /// Takes the editor's answer to the request for a display.
    pub fn answered(&mut self, client: &Client, id: &Id, accepted: bool) {
        if self.state != State::Asked(id.clone()) {
            return;
        }
        if accepted && !self.busy {
            self.state = State::Hidden;
        } else if accepted {
            let begin = json!({ "kind": "begin", "title": "Hearth: indexing", "percentage": 0 });
            notify(client, &begin);
            self.state = State::Shown(0);
        } else {
            self.state = State::Refused;
        }
    }
}

fn notify(client: &Client, value: &Value) {
    client.notify("$/progress", &json!({ "token": TOKEN, "value": value }));
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;
    use crate::frame::FrameReader;

    fn status(state: &str, pending: u64) -> Value {
        json!({ "index": { "state": state, "pending": pending } })
    }

    /// What the client is sent while `drive` runs: the method, or the kind of progress.
    fn sent(drive: impl FnOnce(&mut WorkDone, &Client)) -> Vec<String> {
        let (output, pipe) = std::io::pipe().expect("a pipe");
        let (client, writer) = Client::start(pipe, || {});
        drive(&mut WorkDone::default(), &client);
        drop(client);
        writer.join().expect("the writer does not panic");
        let mut frames = FrameReader::new(BufReader::new(output));
        let mut sent = Vec::new();
        while let Some(frame) = frames.next_frame().expect("a pipe does not fail") {
            let message: Value =
                serde_json::from_slice(&frame.expect("well framed")).expect("valid");
            let kind = message["params"]["value"]["kind"].as_str();
            sent.push(kind.or(message["method"].as_str()).unwrap_or_default().to_owned());
        }
        sent
    }

    #[test]
    fn a_display_begins_moves_and_ends() {
        let sent = sent(|work, client| {
            work.show(client, &status("scanning", 10));
            work.answered(client, &Id::from(0), true);
            work.show(client, &status("scanning", 5));
            work.show(client, &status("scanning", 5));
            work.show(client, &status("ready", 0));
            work.show(client, &status("ready", 0));
        });
        assert_eq!(sent, ["window/workDoneProgress/create", "begin", "report", "end"]);
    }

    #[test]
    fn work_that_ended_early_or_an_editor_that_refuses_shows_nothing() {
        let early = sent(|work, client| {
            work.show(client, &status("scanning", 10));
            work.show(client, &status("ready", 0));
            work.answered(client, &Id::from(0), true);
        });
        assert_eq!(early, ["window/workDoneProgress/create"]);
        let refused = sent(|work, client| {
            work.show(client, &status("scanning", 10));
            work.answered(client, &Id::from(0), false);
            work.show(client, &status("scanning", 5));
            work.show(client, &status("ready", 0));
        });
        assert_eq!(refused, ["window/workDoneProgress/create"]);
    }
}
