-- The sink's last guard, to be run every hour: rows that stand twice. Every count must be zero.
SELECT
    toStartOfHour(_at) AS hour,
    count() - uniqExact(_topic, _partition, _offset, _idx) AS lines_twice,
    count() - uniqExact(event_id) AS events_twice
FROM events
WHERE _at >= now() - INTERVAL 2 HOUR
GROUP BY hour
HAVING lines_twice > 0 OR events_twice > 0
ORDER BY hour
