"""What happens to an event, in the order it happens: join, detect, correlate; and sink beside them.

Folders stand on each other (a contract checks it): `replay` and `people`, then `alerts`, `correlate` and
`sink`, then `worker`, then `detect` over `holding`, `stopping`, `finding`, then `agent` and `join`. What lies
here is the language that all of them speak: partitions, outputs, dead letters, alarms.
"""
