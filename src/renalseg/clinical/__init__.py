"""Kidneys and lesions measured, and the scores that urologists make of them."""
