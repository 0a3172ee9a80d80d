"""renalseg: kidneys, tumors and cysts segmented in CT (research software, not a medical device)."""

__version__ = "0.1.0"
