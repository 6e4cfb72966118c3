SELECT e.response_id, e.channel, e.value, 'user' AS source, CAST(e.event_id AS text) AS event_id, e.at
FROM events e JOIN responses r USING (response_id)
WHERE r.shown_at > now() - INTERVAL '90 days'
ORDER BY e.event_id
