"""Tests of zmq://."""
