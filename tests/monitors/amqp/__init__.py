"""Tests of amqp://."""
