"""Tests of zoo://."""
