"""A host that only pretends: the same interface as the real one, kept in files, for trying plans and for tests.

It boots nothing. What it refuses, libvirt refuses too; both pass the same contract suite.
"""

from tinycloud.drivers.fake.editing import edit_fake
from tinycloud.drivers.fake.host import FakeGuests, FakeHost

__all__ = ["FakeGuests", "FakeHost", "edit_fake"]
