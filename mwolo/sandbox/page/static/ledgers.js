// The operators' own books: who was charged, what went back, and the hands that make trouble in them.

import { get, post, Refused } from "./api.js";
import { now, ZONE } from "./clock.js";
import { byId, make } from "./dom.js";
import { amountText, phoneText, reasonText, t, targetName, timeText } from "./words.js";

const MOST_LINES = 25;
// What an operator's report may be asked for; the first is the usual one.
const CURRENCIES = { mpesa_ke: ["KES"] };
const USUAL_CURRENCIES = ["CDF", "USD"];

export class Ledgers {
  /** `activePhone()` names the phone that sends money by itself. */
  constructor(activePhone) {
    this.wallets = [];
    this.book = null;
    this.dayChosen = false;
    this.activePhone = activePhone;
    byId("ledger-wallet").addEventListener("change", () => {
      this.book = null;
      this.fillCurrencies();
      this.read().catch(() => {});
    });
    byId("statement-currency").addEventListener("change", () => this.drawLink());
    byId("statement-day").addEventListener("change", () => {
      this.dayChosen = byId("statement-day").value !== "";
      this.drawLink();
    });
    byId("stray-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.sendStray();
    });
  }

  get wallet() {
    return byId("ledger-wallet").value;
  }

  async read() {
    if (this.wallets.length === 0) {
      this.wallets = await get("wallets");
      this.fillWallets();
    }
    const asked = this.wallet;
    const book = await get(`wallets/${encodeURIComponent(asked)}/ledger`);
    if (asked !== this.wallet) return;
    this.book = book;
    this.drawLink();
    this.draw();
  }

  fillWallets() {
    const before = this.wallet;
    byId("ledger-wallet").replaceChildren(...this.wallets.map((name) => make("option", { value: name }, targetName(name))));
    if (this.wallets.includes(before)) byId("ledger-wallet").value = before;
    this.fillCurrencies();
  }

  fillCurrencies() {
    const choice = CURRENCIES[this.wallet] ?? USUAL_CURRENCIES;
    byId("statement-currency").replaceChildren(...choice.map((name) => make("option", { value: name }, name)));
    this.drawLink();
  }

  drawLink() {
    // Until somebody chooses a day it is today, on the business clock.
    if (!this.dayChosen) byId("statement-day").value = new Intl.DateTimeFormat("sv-SE", { timeZone: ZONE }).format(now());
    const asked = new URLSearchParams({ day: byId("statement-day").value, currency: byId("statement-currency").value });
    byId("statement").href = `api/wallets/${encodeURIComponent(this.wallet)}/statement?${asked}`;
  }

  draw() {
    if (!this.book) return;
    const drawn = JSON.stringify([this.book.entries, this.book.refunds, this.book.reversals, this.book.walk_ins, t("title")]);
    const list = byId("ledger");
    if (list.dataset.drawn === drawn) return;
    list.dataset.drawn = drawn;
    const totals = Object.entries(this.book.held).map(([currency, amount]) => amountText(amount, currency));
    byId("ledger-total").textContent = t("ledger_total", { total: totals.join(" + ") || "0", calls: this.book.requests.length });
    const rows = rowsOf(this.book);
    list.replaceChildren(...(rows.length ? rows.slice(0, MOST_LINES).map((row) => this.line(row)) : [make("li", { class: "empty" }, t("ledger_empty"))]));
  }

  line(row) {
    return make("li", { class: row.state, "data-kind": row.kind },
      make("time", {}, timeText(new Date(row.at), ZONE)),
      make("span", { class: "whose" }, phoneText(row.phone ?? "")),
      make("b", {}, `${row.sign}${amountText(row.amount, row.currency)}`),
      make("span", { class: "state" }, t(`state_${row.state}`), row.reason ? ` · ${reasonText(row.reason)}` : ""),
      row.takeBack ? make("button", { type: "button", onclick: () => this.takeBack(row.takeBack) }, t("take_back")) : null);
  }

  async takeBack(id) {
    await this.act(() => post(`wallets/${encodeURIComponent(this.wallet)}/reverse`, { id }), "taken_back");
  }

  async sendStray() {
    const phone = this.activePhone();
    if (!phone) return;
    const body = {
      phone,
      amount: byId("stray-amount").value.trim(),
      currency: byId("statement-currency").value,
      reference: byId("stray-reference").value.trim(),
    };
    await this.act(() => post(`wallets/${encodeURIComponent(this.wallet)}/stray`, body), "stray_sent");
  }

  async act(request, said) {
    const line = byId("ledger-said");
    try {
      await request();
      line.textContent = t(said);
      await this.read();
    } catch (error) {
      line.textContent = error instanceof Refused ? t("refused", { why: error.message }) : t("offline");
    }
  }

  retranslate() {
    if (this.wallets.length) this.fillWallets();
    byId("ledger-said").textContent = "";
    this.draw();
  }
}

/** Requests to pay and all that moved since, newest first, as one list. */
function rowsOf(book) {
  const asked = book.entries.map((row) => ({
    ...row,
    kind: "entry",
    sign: "",
    state: row.reversed ? "reversed" : row.state,
    takeBack: row.state === "paid" && !row.reversed ? row.id : null,
  }));
  const taken = new Set(book.reversals.map((row) => row.payment));
  const moved = [
    ...book.refunds.map((row) => ({ ...row, sign: "−", state: row.state === "paid" ? "refunded" : `refund_${row.state}` })),
    ...book.reversals.map((row) => ({ ...row, sign: "−", state: "taken" })),
    ...book.walk_ins.map((row) => ({ ...row, sign: "+", state: "walk_in", reason: row.reference, takeBack: taken.has(row.id) ? null : row.provider_txn_id })),
  ];
  return [...asked, ...moved].sort((one, other) => other.at.localeCompare(one.at) || other.id - one.id);
}
