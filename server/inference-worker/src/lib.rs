//! inference-worker
