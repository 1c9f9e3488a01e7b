"""Tests of ldap://."""
