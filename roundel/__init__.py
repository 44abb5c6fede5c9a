"""The front door: command line, import, quantization, reports."""
