"""Helpers that several folders of tests share. ``tests`` is on the path: ``from support.daemon
import``.
"""
