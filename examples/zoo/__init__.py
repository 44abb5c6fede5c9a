"""A zoo of real networks: files of others and exports, compressed, compiled and run, each beside onnxruntime."""
