// Log the outcome of the lottery to Langfuse, as scores that `trueward import langfuse` reads.
import { LangfuseClient } from "@langfuse/client";

const langfuse = new LangfuseClient();

// One column of the lottery; its id makes a retry the same score.
const logScore = (traceId: string, observationId: string, name: string, value: number): void => {
  const id = `${observationId}-${name}`;
  langfuse.score.create({ id, traceId, observationId, name: `trueward.${name}`, value, dataType: "NUMERIC" });
};

// What `await ask(observationId, ...)` returned, for the generation with this id.
export const logAsk = (traceId: string, observationId: string, outcome: Record<string, number>): void => {
  for (const [name, value] of Object.entries(outcome)) logScore(traceId, observationId, name, value);
};

// Whether the question was on the screen.
export const logSeen = (traceId: string, observationId: string, seen: boolean): void =>
  logScore(traceId, observationId, "seen", Number(seen));
