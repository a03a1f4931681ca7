//! Between the protocol's terms and the assistant's: addresses and edits.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    str::FromStr,
};

use assistant::FileEdit;
use serde_json::{Map, Value, json};
use tower_lsp::ls_types::Uri;

/// The path that a document's address names. A document that was never saved counts as a file of
/// its name at the top of the workspace: that is where most are saved.
pub fn path_of_uri(uri: &str) -> Option<PathBuf> {
    if let Some(name) = uri.strip_prefix("untitled:") {
        let name = name.rsplit('/').next().filter(|name| !name.is_empty() && *name != "..")?;
        return Some(PathBuf::from(name));
    }
    let parsed = Uri::from_str(uri).ok()?;
    if parsed.scheme().as_str() != "file" {
        return None;
    }
    parsed.to_file_path().map(Cow::into_owned)
}

/// The address of a file.
pub fn uri_of_path(path: &Path) -> String {
    Uri::from_file_path(path)
        .map_or_else(|| format!("file://{}", path.display()), |uri| uri.to_string())
}

/// A `WorkspaceEdit` of one or more files. `uri` gives the address under which the editor knows a
/// file. `versioned` says whether the client takes `documentChanges`.
pub fn workspace_edit(edits: &[FileEdit], uri: impl Fn(&Path) -> String, versioned: bool) -> Value {
    if versioned {
        let changes: Vec<Value> = edits
            .iter()
            .map(|edit| {
                json!({
                    "textDocument": { "uri": uri(&edit.path), "version": edit.version },
                    "edits": edit.edits,
                })
            })
            .collect();
        return json!({ "documentChanges": changes });
    }
    let changes: Map<String, Value> =
        edits.iter().map(|edit| (uri(&edit.path), json!(edit.edits))).collect();
    json!({ "changes": changes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn addresses_and_paths_name_each_other() {
        let path = PathBuf::from("/a b/ü#?.rs");
        let uri = uri_of_path(&path);
        assert!(uri.starts_with("file:///a%20b/"), "{uri}");
        assert_eq!(path_of_uri(&uri), Some(path));
    }

    #[test]
    fn documents_without_a_file_have_a_place_and_other_schemes_none() {
        assert_eq!(path_of_uri("untitled:Untitled-1"), Some(PathBuf::from("Untitled-1")));
        for uri in ["untitled:", "untitled:a/..", "git:/a/b", "output:x", "nonsense", ""] {
            assert_eq!(path_of_uri(uri), None, "{uri}");
        }
    }
}
