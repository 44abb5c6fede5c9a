"""Synthesis: Yosys, cell libraries, area, delay, energy, FPGA place and route."""
