"""Networks run on scans."""
