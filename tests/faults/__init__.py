"""Faults of system calls: what a real emperor makes of each. ``tools/faults`` runs it."""
