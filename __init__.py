"""emperord: a process emperor with a memory."""
