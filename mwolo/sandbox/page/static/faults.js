// The drawer of faults: choose whose, which, how often; see what is sown; mend it.

import { get, post, Refused } from "./api.js";
import { byId, make } from "./dom.js";
import { faultName, faultSentence, t, targetName } from "./words.js";

/** Faults that take one number or code more, by the API's name for it. */
const SECONDS = ["slow", "sms_slow", "mail_slow", "delay", "late_success", "reversed", "clock_skew", "reordered_callbacks", "forged_callback", "unknown_reference", "inbound_late"];
const PARAMS = { ...Object.fromEntries(SECONDS.map((fault) => [fault, "seconds"])), refused: "code", sms_refused: "code", wrong_amount: "amount", wrong_currency: "currency" };
const USUAL = { clock_skew: "3600", forged_callback: "0", unknown_reference: "0", reordered_callbacks: "30", inbound_late: "3600" };
const USUAL_SECONDS = "10";

export class Faults {
  /** `activeMeter()` names the meter whose radio the check box switches. */
  constructor(activeMeter) {
    this.known = {};
    this.active = {};
    this.activeMeter = activeMeter;
    byId("fault-target").addEventListener("change", () => this.fillNames());
    byId("fault-name").addEventListener("change", () => this.showParam());
    byId("fault-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.act(() => post("faults", this.chosen()), "sown");
    });
    byId("fault-clear").addEventListener("click", () => this.act(() => post("faults", { clear: true }), "cleared"));
    byId("meter-online").addEventListener("change", (event) => {
      const meter = this.activeMeter();
      const online = event.target.checked;
      if (meter) this.act(() => post(`meters/${encodeURIComponent(meter)}`, { online }), "");
    });
  }

  async read() {
    const { known = {}, ...active } = await get("faults");
    const news = JSON.stringify(known) !== JSON.stringify(this.known);
    this.known = known;
    this.active = active;
    if (news) this.fillTargets();
    this.drawList();
  }

  async act(request, said) {
    const line = byId("fault-said");
    try {
      await request();
      line.textContent = said && t(said);
      await this.read();
    } catch (error) {
      line.textContent = error instanceof Refused ? t("refused", { why: error.message }) : t("offline");
    }
  }

  chosen() {
    const fault = byId("fault-name").value;
    const param = PARAMS[fault];
    const value = byId("fault-param-value").value.trim();
    const params = {};
    if (param && value) params[param] = param === "seconds" ? Number(value) : value;
    return { target: byId("fault-target").value, fault, times: Number(byId("fault-times").value), phone: null, params };
  }

  fillTargets() {
    const before = byId("fault-target").value;
    byId("fault-target").replaceChildren(...Object.keys(this.known).map((name) => make("option", { value: name }, targetName(name))));
    if (before in this.known) byId("fault-target").value = before;
    this.fillNames();
  }

  fillNames() {
    const names = this.known[byId("fault-target").value] ?? [];
    const before = byId("fault-name").value;
    byId("fault-name").replaceChildren(...names.map((name) => make("option", { value: name }, faultName(name))));
    if (names.includes(before)) byId("fault-name").value = before;
    this.showParam();
  }

  showParam() {
    const fault = byId("fault-name").value;
    const param = PARAMS[fault];
    byId("fault-why").textContent = faultSentence(fault);
    byId("fault-param").hidden = !param;
    if (!param) return;
    byId("fault-param-name").textContent = t(param);
    byId("fault-param-value").value = param === "seconds" ? (USUAL[fault] ?? USUAL_SECONDS) : "";
    byId("fault-param-value").inputMode = param === "seconds" || param === "amount" ? "numeric" : "text";
  }

  drawList() {
    const rows = Object.entries(this.active).flatMap(([target, faults]) => (faults ?? []).map((row) => ({ target, ...row })));
    const badge = byId("faults-count");
    badge.hidden = rows.length === 0;
    badge.textContent = String(rows.length);
    const lines = rows.map(({ target, fault, times }) =>
      make("li", {}, make("b", {}, targetName(target)), make("span", { title: faultSentence(fault) }, ` ${faultName(fault)} `),
        make("small", {}, times ? t("times_left", { n: times }) : t("until_cleared")),
        make("button", { type: "button", "aria-label": `${t("clear")}: ${targetName(target)}`,
          onclick: () => this.act(() => post("faults", { clear: true, target }), "") }, "×")),
    );
    const text = lines.length ? lines : [make("li", { class: "empty" }, t("no_faults"))];
    const list = byId("fault-list");
    const drawn = JSON.stringify([rows, t("no_faults")]);
    if (list.dataset.drawn === drawn) return;
    list.dataset.drawn = drawn;
    list.replaceChildren(...text);
  }

  retranslate() {
    this.fillTargets();
    this.drawList();
    byId("fault-said").textContent = "";
  }
}
