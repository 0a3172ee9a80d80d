"""The page's viewer without the server of ``renalseg serve``, for local files."""
