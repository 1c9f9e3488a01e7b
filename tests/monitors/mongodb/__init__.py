"""Tests of mongodb://."""
