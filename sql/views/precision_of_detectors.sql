-- How often each detector is right, by what people say of its incidents: the share of real ones among real and
-- false. What was expected was seen rightly and is no fault, so it counts for neither. `precision` is the mean
-- of Beta(1 + real, 1 + false), `low` and `high` its 5 % and 95 % points, found on a grid of 1,000.
CREATE OR REPLACE VIEW precision_of_detectors AS
WITH
    arrayMap(i -> (i - 0.5) / 1000, range(1, 1001)) AS grid,
    arrayMap(x -> judged_real * log(x) + judged_false * log(1 - x), grid) AS logs,
    arrayCumSum(arrayMap(v -> exp(v - arrayMax(logs)), logs)) AS mass
SELECT
    tenant, detector, judged_real, judged_false, judged_expected,
    (judged_real + 1) / (judged_real + judged_false + 2) AS precision,
    round(grid[arrayFirstIndex(m -> m >= 0.05 * mass[1000], mass)], 4) AS low,
    round(grid[arrayFirstIndex(m -> m >= 0.95 * mass[1000], mass)], 4) AS high
FROM
(
    SELECT
        tenant, detector, countIf(label = 'real') AS judged_real,
        countIf(label = 'false') AS judged_false, countIf(label = 'expected') AS judged_expected
    FROM incident_labels
    GROUP BY tenant, detector
);
