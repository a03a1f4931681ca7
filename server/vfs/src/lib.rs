//! The files of a workspace as everybody else sees them: the gate that every path goes through,
//! text read with its encoding remembered, and the editor's open documents laid over the disk.
//!
//! Nothing is written here (`journal` is the only writer of a user's files), nothing is watched
//! (`vfs-notify`) and nothing is parsed (`syntax`).

mod documents;
mod encoding;
mod secret;
mod snapshot;
mod workspace;

pub use documents::{Change, ChangeError, Documents, OpenDocument};
pub use encoding::{
    EncodeError, Encoding, FileFormat, FileText, ReadError, decode, encode, read_text,
};
pub use secret::looks_secret;
pub use snapshot::{MAX_TEXT_BYTES, Snapshot};
pub use workspace::{Workspace, WorkspaceError};
