"""The completion model: fill-in-the-middle trained onto SmolLM2-135M, from data to GGUF files.

The modules that need no training packages (`errors`, `config`, `tokenizer`, `layout`, `spans` without
syntax nodes, `samples`, `dataset`, `parts`) run, and are tested, in the pipeline's own environment.
"""
