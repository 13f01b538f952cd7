"""The database as the harness sees it: through psql, straight to the server and never through the proxy."""

import glob
import subprocess

# Longest that one question may take, in seconds: the recount of a million rows is one.
QUESTION_S = 300


def programs():
    """The folder of the newest PostgreSQL's programs."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
    return found[-1] if found else "/usr/bin"


class Database:
    def __init__(self, port, host="127.0.0.1", name="drover", user="drover"):
        self.port, self.host, self.name, self.user = port, host, name, user

    def command(self):
        return [f"{programs()}/psql", "-h", self.host, "-p", str(self.port), "-U", self.user, "-d", self.name, "-qAtX", "-v", "ON_ERROR_STOP=1"]

    def rows(self, sql, stdin=None, timeout=QUESTION_S):
        """Rows as lists of texts; raises on any error."""
        done = subprocess.run([*self.command(), "-F", "\t", "-c", sql], input=stdin, capture_output=True, text=True, timeout=timeout)
        if done.returncode != 0:
            raise RuntimeError(f"psql: {done.stderr.strip()[:500]} in: {sql[:200]}")
        return [line.split("\t") for line in done.stdout.splitlines() if line != ""]

    def one(self, sql):
        """The first column of the first row; None when there is none."""
        rows = self.rows(sql)
        return rows[0][0] if rows else None

    def number(self, sql):
        return int(self.one(sql) or 0)

    def load(self, table, rows):
        """COPY: rows of plain texts without tabs."""
        if rows:
            self.rows(f"COPY {table} FROM STDIN", stdin="".join("\t".join(map(str, row)) + "\n" for row in rows))

    def answers(self):
        try:
            return self.rows("SELECT 1", timeout=5) == [["1"]]
        except (RuntimeError, subprocess.TimeoutExpired):
            return False
