// What the little screen shows: one function per kind of view, from the handset's state to elements. No network here.

import { now, partOfDay, ZONE } from "./clock.js";
import { make } from "./dom.js";
import { septets } from "./gsm7.js";
import { amountText, dateText, skinOf, t, timeText } from "./words.js";

const entryOf = (state) => state.entry;

/** Each view: `body(state)` its elements, `soft(state)` the two labels, `entry(state)` the input line or null. */
const VIEWS = {
  off: {
    body: () => [make("p", { class: "quiet" }, t("no_sim"))],
    soft: () => ["", ""],
  },
  idle: {
    body: (state) => {
      const unread = state.sms.filter((text) => text.unread);
      const notice = unread.length === 1 ? t("new_message") : t("new_messages", { n: unread.length });
      return [
        make("p", { class: "big-time", "data-tick": "time" }, timeText(now(), ZONE)),
        make("p", { class: "date", "data-tick": "date" }, dateText(now(), ZONE)),
        unread.length > 0 ? make("p", { class: "notice" }, `✉ ${notice}`) : null,
        make("p", { class: "hint" }, make("b", {}, state.shortCode), make("span", {}, t("hint"))),
      ].filter(Boolean);
    },
    soft: (state) => [state.sms.some((text) => text.unread) ? t("read") : t("messages"), state.shortCode],
  },
  dial: {
    body: () => [],
    big: true,
    entry: entryOf,
    soft: () => [t("call"), t("erase")],
  },
  busy: {
    body: (state) => [make("p", { class: "quiet running" }, state.view.text)],
    soft: () => ["", t("cancel")],
  },
  ussd: {
    body: sessionText,
    entry: entryOf,
    soft: (state) => [t("send"), state.entry ? t("erase") : t("cancel")],
  },
  ended: {
    body: sessionText,
    soft: () => [t("ok"), ""],
  },
  network: {
    body: (state) => [make("p", { class: "sign", "aria-hidden": "true" }, "⚠"), make("p", { class: "network-text" }, state.view.text)],
    soft: () => [t("ok"), ""],
  },
  inbox: {
    body: (state) => {
      if (state.sms.length === 0) return [make("h3", {}, t("messages")), make("p", { class: "quiet" }, t("no_messages"))];
      const rows = state.sms.map((text, index) =>
        make(
          "li",
          { class: text.unread ? "unread" : "", "aria-current": index === state.chosen ? "true" : null, "data-index": index },
          make("b", {}, text.from),
          make("time", {}, momentText(text.at)),
          make("span", {}, text.text),
        ),
      );
      return [make("h3", {}, t("messages")), make("ul", { class: "inbox" }, ...rows)];
    },
    soft: (state) => [state.sms.length ? t("read") : "", t("back")],
  },
  message: {
    body: (state) => {
      const text = state.sms[state.chosen];
      return [
        make("h3", {}, make("span", {}, text.from), make("time", {}, momentText(text.at))),
        make("p", { class: "sms-text" }, text.text),
      ];
    },
    soft: (state) => [state.chosen + 1 < state.sms.length ? t("next") : "", t("back")],
  },
  prompt: {
    body: (state) => {
      const asked = state.view.prompt;
      return [
        make("h3", { class: "brand", "data-brand": skinOf(asked.brand, asked.phone) }, asked.brand_name),
        make("p", { class: "prompt-text" }, asked.text || t("request_of", { brand: asked.brand_name })),
        asked.text ? null : make("p", { class: "prompt-amount" }, amountText(asked.amount, asked.currency)),
        state.view.said ? make("p", { class: "prompt-said" }, state.view.said) : null,
      ].filter(Boolean);
    },
    entry: (state) => "•".repeat(state.entry.length),
    secret: true,
    soft: (state) => [t("ok"), state.entry ? t("erase") : t("decline")],
  },
  outcome: {
    body: (state) => [
      make("p", { class: `stamp ${state.view.outcome}`, "aria-hidden": "true" }, state.view.outcome === "paid" ? "✓" : "✕"),
      make("p", { class: "outcome-text" }, state.view.text),
    ],
    soft: () => [t("ok"), ""],
  },
};

/** The screen word for word; below it what the network has to say about it, a screen that was too long for instance. */
function sessionText(state) {
  const { text, said } = state.view;
  return [make("p", { class: "ussd-text" }, text), ...(said ? [make("p", { class: "prompt-said" }, said)] : [])];
}

function momentText(at) {
  const moment = new Date(at);
  if (Number.isNaN(moment.getTime())) return "";
  const sameDay = dateText(moment, ZONE, "short") === dateText(now(), ZONE, "short");
  return sameDay ? timeText(moment, ZONE) : dateText(moment, ZONE, "short");
}

/** Draw the state. The live region is rebuilt only when its content is another one, so that a reader hears each screen once. */
export function draw(parts, state) {
  const view = VIEWS[state.view.kind];
  const fresh = view.body(state);
  const probe = make("div", {}, ...fresh);
  if (parts.screen.dataset.kind !== state.view.kind || parts.view.dataset.drawn !== probe.innerHTML) {
    parts.view.dataset.drawn = probe.innerHTML;
    parts.view.replaceChildren(...probe.childNodes);
    if (parts.screen.dataset.kind !== state.view.kind) parts.view.scrollTop = 0;
    parts.view.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }
  parts.screen.dataset.kind = state.view.kind;
  // The idle clock ticks in silence.
  parts.view.setAttribute("aria-live", state.view.kind === "idle" ? "off" : "polite");
  const entry = view.entry ? view.entry(state) : null;
  parts.entry.hidden = entry === null;
  parts.entry.classList.toggle("big", Boolean(view.big));
  parts.entry.textContent = entry ?? "";
  parts.entry.dataset.label = view.secret ? t("pin_entry") : view.big ? "" : t("reply");
  const [left, right] = view.soft(state);
  parts.softleft.textContent = left;
  parts.softright.textContent = right;
  parts.softleft.hidden = left === "";
  parts.softright.hidden = right === "";
  parts.envelope.toggleAttribute("hidden", !state.sms.some((text) => text.unread));
  drawLength(parts, state);
  drawTime(parts);
}

/** How much of the network's room a screen of the session takes. */
function drawLength(parts, state) {
  const onAir = ["ussd", "ended"].includes(state.view.kind) && state.mostSeptets;
  const length = onAir ? septets(state.view.text) : 0;
  parts.length.textContent = !onAir ? "" : length === null ? "UCS-2" : `${length}/${state.mostSeptets}`;
  parts.length.title = !onAir ? "" : length === null ? t("not_gsm") : t("septets", { n: length, most: state.mostSeptets });
  parts.length.classList.toggle("over", Boolean(onAir) && (length === null || length > state.mostSeptets));
}

/** The parts that change with the clock alone. */
export function drawTime(parts) {
  parts.screen.dataset.day = partOfDay();
  const text = timeText(now(), ZONE);
  if (parts.smalltime.textContent !== text) parts.smalltime.textContent = text;
  for (const [what, words] of [["time", text], ["date", dateText(now(), ZONE)]]) {
    const element = parts.view.querySelector(`[data-tick=${what}]`);
    if (element && element.textContent !== words) element.textContent = words;
  }
}
