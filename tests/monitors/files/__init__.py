"""Tests of dir:// and glob://."""
