"""The instances: a loop of two tasks, so that completing tasks never ends one, in two versions to migrate between."""

import uuid

# What an instance that kills its worker carries, so that the proxy can tell that a worker met it.
MARKER = "chaos-poison-" + uuid.uuid4().hex[:8]
ACTIVITIES = ["first", "second"]


def model(key):
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="chaos">
  <process id="{key}" isExecutable="true" camunda:historyTimeToLive="P30D">
    <startEvent id="start"/>
    <sequenceFlow id="f1" sourceRef="start" targetRef="first"/>
    <userTask id="first"/>
    <sequenceFlow id="f2" sourceRef="first" targetRef="second"/>
    <userTask id="second"/>
    <sequenceFlow id="f3" sourceRef="second" targetRef="first"/>
  </process>
</definitions>"""


class Herd:
    """Instances of one key; `versions`: the two definitions that they move between."""

    def __init__(self, rest, key):
        self.key = key
        self.versions = [rest.deploy(model(key)), rest.deploy(model(key))]

    def start(self, rest, variables=None):
        status, instance = rest.ask("POST", f"/process-definition/{self.versions[0]}/start", {"variables": variables or {}})
        if status != 200:
            raise RuntimeError(f"start: {status} {instance}")
        return instance["id"]

    def start_many(self, rest, number, database=None):
        """Over REST one by one; with the database, copies of the first, with ids of their own."""
        if database is None:
            return [self.start(rest) for _ in range(number)]
        return clone(database, self.start(rest), number - 1)


def clone(database, first, number):
    """Copies of an instance that has no derived rows: its row with other ids, in one statement. All ids, the first's too.

    The ids of what lives in an instance are its own with another ending (the last eight digits), so one replacement of what
    comes before gives all of them.
    """
    columns = [row[0] for row in database.rows("SELECT column_name FROM information_schema.columns WHERE table_name = 'process_instance'")]
    base = first[:28]
    changed = {"id": f"n.base || '{first[28:]}'", "root_instance": f"n.base || '{first[28:]}'", "state": f"replace(p.state, '{base}', n.base)"}
    values = ", ".join(changed.get(column, f"p.{column}") for column in columns)
    database.rows(
        f"INSERT INTO process_instance ({', '.join(columns)}) SELECT {values} FROM process_instance p, "
        f"(SELECT substr(u, 1, 14) || '7' || substr(u, 16, 13) AS base FROM "
        f"(SELECT gen_random_uuid()::text AS u FROM generate_series(1, {number})) AS drawn) AS n WHERE p.id = '{first}'"
    )
    database.rows("ANALYZE process_instance")
    key = database.one(f"SELECT definition_id FROM process_instance WHERE id = '{first}'")
    return [row[0] for row in database.rows(f"SELECT id FROM process_instance WHERE definition_id = '{key}'")]
