-- The log of a product: every response that was shown, and every reaction. `trueward import generic` reads both.
CREATE TABLE responses (
  response_id text PRIMARY KEY,
  prompt text NOT NULL, -- the question, or the chat before the answer
  response text NOT NULL,
  user_id text,
  session_id text,
  shown_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE events (
  event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  response_id text NOT NULL REFERENCES responses,
  channel text NOT NULL, -- thumbs_up, thumbs_down, copy, ...
  value double precision NOT NULL DEFAULT 1,
  at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON events (response_id);
