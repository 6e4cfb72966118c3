// The lottery of `trueward.ask`: the same outcome for the same response id, p and key in every language.
// No dependencies: Web Crypto, in browsers, Node 20 and newer, Deno, Bun and workers.
const draw = async (responseId: string, key: string, purpose: string): Promise<bigint> => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const secret = await crypto.subtle.importKey("raw", bytes(key), hmac, false, ["sign"]);
  const digest = await crypto.subtle.sign("HMAC", secret, bytes(purpose + "\u0000" + responseId));
  return new DataView(digest).getBigUint64(0);
};

export const ask = async (responseId: string, p: number, key: string, options: { levels?: number; earlier?: number; perDay?: number } = {}): Promise<{ asked: number; p_ask: number; ask_level: number }> => {
  const { levels = 1, earlier = 0, perDay = Infinity } = options;
  if (!responseId || !key) throw new RangeError("ask: responseId and key must be texts that are not empty");
  if (!(p >= 0 && p <= 1)) throw new RangeError("ask: p must be a probability from 0 to 1, not " + p);
  if (earlier >= perDay) return { asked: 0, p_ask: 0, ask_level: 0 };
  if (!((await draw(responseId, key, "ask")) < p * 2 ** 64)) return { asked: 0, p_ask: p, ask_level: 0 };
  const level = 1 + Number(((await draw(responseId, key, "level")) * BigInt(levels)) >> BigInt(64));
  return { asked: 1, p_ask: p, ask_level: level };
};
