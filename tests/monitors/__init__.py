"""Tests of the monitors: real files, real inotify; each waits for what is told, none sleeps."""
