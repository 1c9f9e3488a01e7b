"""ldap:// and ldaps://: entries of a directory, followed by synchronization or polled.

Imports: ``journal``, ``monitors``. It needs the extra ``ldap`` (python-ldap).

Invariants:

- libldap works on one end of a socket pair, so it never blocks the event loop.
- Its messages are measured before libldap sees them, because it allocates what they claim.
- A listing that the server cut short is a failure, and never taken for all entries.
"""
