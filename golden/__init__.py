"""Golden models: what every number of the hardware must be. NumPy only."""
