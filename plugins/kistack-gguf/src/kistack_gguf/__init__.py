"""GGUF: weights quantized for llama.cpp, and llama.cpp as the runtime that serves them."""
