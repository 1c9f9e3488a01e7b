"""Tests of pg://."""
