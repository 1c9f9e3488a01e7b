"""amqp:// and amqps://: messages of a broker announce configs, files and URLs.

It may import the modules that all sources share, and ``files``, for announced files.

- A message is acknowledged only after its observation is durable in the journal.
- An announced file ends its vassal when it goes, not when it changes.
- The broker's frames are measured before pika sees them.
"""
