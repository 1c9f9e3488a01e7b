"""Tests of the fold: what it decides, that it decides every case, and that nothing is lost."""
