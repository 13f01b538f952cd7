-- From here on the documents of instances and of what lives in them may have their ids relative to their row (version 2 of the
-- document), which programs of an earlier version cannot read: they shall not start on this database any more.
SELECT 1;
