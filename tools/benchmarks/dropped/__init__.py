"""``tools/bench --requests``: requests that clients lose while a server is changed or killed."""
