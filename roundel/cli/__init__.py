"""Reads options, calls one function, prints; one file a command."""
