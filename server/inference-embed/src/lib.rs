//! inference-embed
