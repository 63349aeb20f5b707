-- Gaps in what a producer has numbered: each is an event that was dropped, refused, or lost on its way.
-- Compare with `dead_letters` and with the producer's own counters before calling it a loss.
SELECT tenant, agent_id, boot_id, previous + 1 AS first_missing, seq - 1 AS last_missing, at
FROM
(
    SELECT
        tenant, agent_id, boot_id, seq, _at AS at,
        lagInFrame(seq, 1, seq - 1) OVER
            (PARTITION BY tenant, agent_id, boot_id ORDER BY seq ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
            AS previous
    FROM events
    WHERE _at >= now() - INTERVAL 1 DAY
)
WHERE seq > previous + 1
ORDER BY at
LIMIT 1000
