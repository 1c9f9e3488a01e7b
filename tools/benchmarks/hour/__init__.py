"""An hour of load: does anything of a daemon grow?"""
