"""The command line: a thin skin over :class:`tinycloud.Cloud`."""
