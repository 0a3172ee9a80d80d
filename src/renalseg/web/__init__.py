"""``renalseg serve``: a page in the browser, and the same as REST, for one person or a team.

``app`` puts the parts together: ``guard`` lets in who may come, ``api`` answers, ``store`` keeps
jobs and results in one SQLite file beside a folder per study, ``worker`` segments one study after
the other, and the ``desk`` measures corrections and writes reports, one thread each.
"""
