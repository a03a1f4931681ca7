//! language-server
