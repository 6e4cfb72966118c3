SELECT response_id, prompt, response, user_id, session_id, shown_at
FROM responses
WHERE shown_at > now() - INTERVAL '90 days'
ORDER BY response_id
