//! lexical-index
