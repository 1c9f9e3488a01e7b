"""Tests of tyrant mode: whose rights a config is read with."""
