//! inference-llama
