"""A guest's own files: new contents from old ones. Pure; what is read from a disk and written to it is the driver's business."""
