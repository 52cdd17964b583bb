// The sandbox's own API. It knows whether the server answers, and tells whoever listens when that changes.

const BASE = new URL("api/", document.baseURI);
const PATIENCE_MS = 20_000;

/** What the sandbox refused, in its own sentence. */
export class Refused extends Error {}
/** Nobody answered, or nobody who understands us: a dead server, a proxy's error page. */
export class NoNetwork extends Error {}

const listeners = new Set();
let online = true;

export function isOnline() {
  return online;
}

export function onNetwork(listener) {
  listeners.add(listener);
}

function setOnline(next) {
  if (next === online) return;
  online = next;
  for (const listener of listeners) listener(online);
}

async function call(path, { body, patienceMs = PATIENCE_MS } = {}) {
  const options = { headers: { Accept: "application/json" }, cache: "no-store" };
  if (patienceMs) options.signal = AbortSignal.timeout(patienceMs);
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  let data;
  try {
    answer = await fetch(new URL(path, BASE), options);
    data = await answer.json();
  } catch (error) {
    // A long wait on a live server is not a dead network: the polls will tell.
    if (error.name !== "TimeoutError") setOnline(false);
    throw new NoNetwork(String(error.message ?? error));
  }
  // A proxy in front says 502 or 504 when the sandbox behind it is away; other failures are an answer, if a poor one.
  const away = answer.status === 502 || answer.status === 504;
  setOnline(!away);
  if (away) throw new NoNetwork(data.error ?? String(answer.status));
  if (!answer.ok) throw new Refused(data.error ?? String(answer.status));
  return data;
}

export const get = (path) => call(path);
export const post = (path, body = {}, options = {}) => call(path, { body, ...options });

/** Hang up while the page goes away: an ordinary request would die with it. */
export function farewell(phone) {
  const url = new URL(`ussd/${encodeURIComponent(phone)}/hangup`, BASE);
  navigator.sendBeacon(url, new Blob(["{}"], { type: "application/json" }));
}

/** Run `task` again and again, `everyMs` after its last end; slower while nobody looks or nobody answers. Returns a stop function. */
export function repeat(everyMs, task) {
  let stopped = false;
  let timer = 0;
  const turn = async () => {
    try {
      await task();
    } catch (error) {
      if (!(error instanceof NoNetwork || error instanceof Refused)) console.error(error);
    }
    if (!stopped) timer = setTimeout(turn, document.hidden ? everyMs * 4 : online ? everyMs : Math.max(everyMs, 1500));
  };
  turn();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
