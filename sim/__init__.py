"""Simulation: Verilator and cocotb, stream drivers, one bench per block."""
