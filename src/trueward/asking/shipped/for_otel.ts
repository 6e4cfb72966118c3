// Log the outcome of the lottery on an OpenTelemetry span, as attributes that `trueward import otel` reads.
import type { Span } from "@opentelemetry/api";

// The id to draw with: await ask(spanId(span), ...).
export const spanId = (span: Span): string => span.spanContext().spanId;

// What `ask` returned, before the span of the answer ends.
export const logAsk = (span: Span, outcome: Record<string, number>): void => {
  for (const [name, value] of Object.entries(outcome)) span.setAttribute(`trueward.${name}`, value);
};

// Whether the question was on the screen, on a span of the same trace.
export const logSeen = (span: Span, seen: boolean): void => {
  span.setAttribute("trueward.seen", Number(seen));
};
