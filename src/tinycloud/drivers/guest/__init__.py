"""The inside of a machine: the seed it is given, the keys that open it, ssh."""
