"""Asks DuckDB: each statement of standard input, in order; prints the rows of the last one as JSON, one a line."""

import sys

import duckdb

statements = [text for text in sys.stdin.read().split(";") if text.strip()]
database = duckdb.connect()
database.execute("SET TimeZone = 'UTC'")
for statement in statements[:-1]:
    database.execute(statement)
for (row,) in database.execute(f"SELECT CAST(to_json(answer) AS VARCHAR) FROM ({statements[-1]}) AS answer").fetchall():
    print(row)
