"""The hardware: Amaranth components and Verilog emission."""
