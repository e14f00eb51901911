"""libvirt XML: shipped templates, the user's own, patches, and our mark. Pure: text and values in, text out."""
