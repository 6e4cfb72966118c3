// Log the outcome of the lottery to PostHog, as properties that `trueward import posthog` reads.
// Properties for the generation: posthogProperties: askProperties(await ask(your id of the answer, ...)). Show the survey
// where `asked` is 1, and send `survey shown` with $ai_trace_id once it is on the screen.
export const askProperties = (outcome: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(outcome).map(([name, value]) => [`trueward.${name}`, value]));
