"""Simulation: Verilator and cocotb, stream drivers, one bench per block."""

if __name__ == "sim":
    raise ImportError("import roundel.sim")
