"""Tests that break the daemon or the ground it stands on: kill -9, full disks, no descriptors."""
