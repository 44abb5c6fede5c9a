"""Cocotb benches: what runs inside the simulator."""
