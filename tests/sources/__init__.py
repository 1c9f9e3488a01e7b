"""One suite over every source: what a source promises, whatever it is."""
