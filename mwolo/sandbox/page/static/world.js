// The world beside the phones: the house and its light, the clock, the purse, the diary.

import { aheadSeconds, clockKnown, moveClock, now, partOfDay, readClock, tomorrowMorning, ZONE } from "./clock.js";
import { byId, make } from "./dom.js";
import { Refused } from "./api.js";
import { Keypad } from "./keypad.js";
import { amountText, dateText, shown, t, timeText } from "./words.js";

const DIARY_LENGTH = 30;

export class World {
  constructor() {
    this.moving = false;
    this.diary = [];
    this.keypad = new Keypad((handset, n) => {
      this.note("did_token", { name: handset.name(), n });
      handset.pollMeter();
    });
    for (const button of byId("clock-keys").querySelectorAll("button")) {
      button.addEventListener("click", () => this.move(button));
    }
    this.busy(false);
  }

  /** Show the home of this phone's owner. `handset` may be null: nobody is chosen. */
  show(handset) {
    const customer = handset?.customer;
    const meter = handset?.meter;
    const supply = customer?.meter ? (meter?.supply ?? "unknown") : "none";
    document.body.dataset.supply = supply;
    byId("home-title").textContent = customer ? t("at_home", { name: handset.name() }) : t("nobody_home");
    const state = byId("home-state");
    const words = supply === "none" ? t("no_meter") : t(`supply_${supply}`);
    if (state.textContent !== words) state.textContent = words;
    byId("meter-line").textContent = meter ? meterWords(meter) : "";
    this.keypad.show(handset ?? null);
    byId("purse-name").textContent = customer?.brand_name || t("purse");
    byId("purse").textContent = customer ? amountText(customer.balance, customer.currency) : "–";
    const online = byId("meter-online");
    online.disabled = !meter || meter.kind === "keypad";
    if (document.activeElement !== online) online.checked = meter ? meter.online !== false : true;
  }

  async readClock() {
    await readClock();
    this.busy(this.moving);
    this.tick();
  }

  tick() {
    if (!clockKnown()) return;
    const moment = now();
    byId("clock-time").textContent = timeText(moment, ZONE);
    byId("clock-time").dateTime = moment.toISOString();
    const ahead = aheadText(aheadSeconds());
    byId("clock-date").textContent = dateText(moment, ZONE) + (ahead ? ` · ${t("ahead", { d: ahead })}` : "");
    document.body.dataset.day = partOfDay();
  }

  async move(button) {
    if (this.moving) return;
    const move = button.dataset.to ? { to: tomorrowMorning() } : { advance_s: Number(button.dataset.advance) };
    this.busy(true);
    const said = byId("clock-said");
    said.textContent = t("time_flies");
    try {
      const { runs = [] } = await moveClock(move);
      said.textContent = runs.length > 1 ? t("time_landed", { n: runs.length }) : t(`time_landed_${runs.length}`);
      this.note("did_time");
    } catch (error) {
      said.textContent = error instanceof Refused ? t("refused", { why: error.message }) : t("time_stuck");
    } finally {
      this.busy(false);
      this.tick();
    }
  }

  busy(moving) {
    this.moving = moving;
    byId("clock-keys").setAttribute("aria-busy", String(moving));
    byId("world").classList.toggle("time-flies", moving);
    for (const button of byId("clock-keys").querySelectorAll("button")) button.disabled = moving || !clockKnown();
  }

  /** Write one line into the diary; kept as key and blanks, so that it follows the page's language. */
  note(key, blanks = {}) {
    this.diary.unshift({ key, blanks, at: now() });
    this.diary.length = Math.min(this.diary.length, DIARY_LENGTH);
    this.drawDiary();
  }

  drawDiary() {
    if (this.diary.length === 0) return;
    byId("diary").replaceChildren(
      ...this.diary.map(({ key, blanks, at }) =>
        make("li", { class: key }, make("time", {}, timeText(at, ZONE)), make("span", {}, t(key, { when: dateText(at, ZONE), ...blanks }))),
      ),
    );
  }
}

function meterWords(meter) {
  const words = [t("meter", { id: meter.id })];
  if (meter.kind === "keypad") return [...words, t("days_left", { n: meter.days_left })].join(" · ");
  if (meter.relay) words.push(t(`relay_${meter.relay}`));
  if (meter.version !== undefined && meter.version !== null) words.push(t("version", { v: meter.version }));
  if (meter.kwh !== undefined && meter.kwh !== null) words.push(`${shown(meter.kwh)}\u00a0kWh`);
  if (meter.online === false) words.push(t("unreachable"));
  return words.join(" · ");
}

/** 263 700 s → "3 j 1 h"; less than two minutes is not worth a word. */
function aheadText(seconds) {
  if (seconds < 120) return "";
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor((seconds % 86_400) / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const words = [[days, "unit_day"], [hours, "unit_hour"], [days ? 0 : minutes, "unit_minute"]];
  return words.filter(([n]) => n > 0).map(([n, unit]) => `${n} ${t(unit)}`).join(" ");
}
