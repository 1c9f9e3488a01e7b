"""A simulated world for the daemon's shell: docs/simulation.md tells what it is for."""
