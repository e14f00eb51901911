"""Images built here from the distribution's packages: ``nano`` (boots in seconds, for tests) and ``debian-12``."""
