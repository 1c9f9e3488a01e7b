"""``tools/bench --peers``: emperord beside uWSGI's C Emperor, supervisord and circus."""
