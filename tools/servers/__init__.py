"""Private instances of real servers, for tests and for trying things out."""
