// Business time as the whole page sees it: real time plus what the sandbox's clock is ahead.

import { get, post } from "./api.js";

export const ZONE = "Africa/Kinshasa";
const KINSHASA_AHEAD_S = 3600; // all year: the country has no summer time
const DAY_S = 86_400;

let aheadMs = 0;
let known = false;

/** Whether the sandbox has said what time it is. Until then nothing may be reckoned from the page's own clock. */
export const clockKnown = () => known;
export const now = () => new Date(Date.now() + aheadMs);
export const aheadSeconds = () => Math.round(aheadMs / 1000);

function take(business) {
  const moment = Date.parse(business);
  if (Number.isNaN(moment)) return;
  aheadMs = moment - Date.now();
  known = true;
}

export async function readClock() {
  take((await get("clock")).business);
}

/** Move the business clock. The answer comes when every due run is done, however long that takes. */
export async function moveClock(move) {
  const answer = await post("clock", move, { patienceMs: 0 });
  take(answer.business);
  return answer;
}

/** The next day's 09:00 in Kinshasa, as the API wants it. */
export function tomorrowMorning() {
  const localDay = Math.floor((now().getTime() / 1000 + KINSHASA_AHEAD_S) / DAY_S);
  return new Date(((localDay + 1) * DAY_S + 9 * 3600 - KINSHASA_AHEAD_S) * 1000).toISOString();
}

/** The hour in Kinshasa, 0-23: the sky of the page follows it. */
export function hourOfDay() {
  return Math.floor(((now().getTime() / 1000 + KINSHASA_AHEAD_S) % DAY_S) / 3600);
}

/** Night, dawn, day or dusk. */
export function partOfDay() {
  const hour = hourOfDay();
  if (hour < 5 || hour >= 19) return "night";
  if (hour < 7) return "dawn";
  return hour < 17 ? "day" : "dusk";
}
