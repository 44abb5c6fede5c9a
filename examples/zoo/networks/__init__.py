"""Well-known detectors as torch modules, written from their published structure; no weights of anyone."""
