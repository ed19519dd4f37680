"""The records: ``tables`` (typed, SQLAlchemy), ``engine`` (SQLite with WAL), ``revisions`` (migrations), ``store`` (the
one thread in which the server works on them).

Nothing in ``tables`` is SQLite's alone. Times are Unix seconds.
"""
