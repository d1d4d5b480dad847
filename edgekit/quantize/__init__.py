"""Quantization: post-training INT8 on the exported graph."""
