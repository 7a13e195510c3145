"""Files of a data set version that are for people; the trainer writes them beside its own, the service shows them."""

REPORT = "report.json"
"""A DatasetReport message as proto JSON."""
CONTACT_SHEET = "contact-sheet.jpg"
"""Some training images of each class."""
