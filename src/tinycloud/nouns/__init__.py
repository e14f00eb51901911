"""The nouns of the Python API: what ``cloud.images`` and its kin hand out. Thin: the engine does the work."""
