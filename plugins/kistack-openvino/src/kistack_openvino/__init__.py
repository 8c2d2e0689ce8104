"""OpenVINO: weights quantized by NNCF, and the runtime that serves them, in an environment of their own."""
