"""amqp:// and amqps://: messages of a broker announce configs, files and URLs.

Imports: ``journal``, ``monitors``, ``monitors/files``. Of ``monitors/files`` it has the reader, for
announced files.

Invariants:

- A message is acknowledged only after its observation is durable in the journal.
- An announced file ends its vassal when it goes, not when it changes.
- The broker's frames are measured before pika sees them.
"""
