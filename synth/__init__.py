"""Synthesis: Yosys, cell libraries, area, delay, energy, FPGA place and route."""

if __name__ == "synth":
    raise ImportError("import roundel.synth")
