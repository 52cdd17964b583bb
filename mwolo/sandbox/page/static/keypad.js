// The keypad of a meter without a radio: type the digits of a token, and the box says what it makes of them.

import { NoNetwork, Refused, post } from "./api.js";
import { byId } from "./dom.js";
import { t } from "./words.js";

export class Keypad {
  /** `onTyped(handset, days)` is told when the meter took a token. */
  constructor(onTyped) {
    this.handset = null;
    this.onTyped = onTyped;
    this.form = byId("keypad");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.type();
    });
  }

  /** Show the keypad where this phone's owner has one. */
  show(handset) {
    if (handset !== this.handset) byId("keypad-said").textContent = "";
    this.handset = handset;
    this.form.hidden = handset?.meter?.kind !== "keypad";
  }

  async type() {
    const field = byId("keypad-token");
    const said = byId("keypad-said");
    const { handset } = this;
    const token = field.value.trim();
    if (!token || !handset?.meter) return;
    try {
      const { outcome, days_added: days } = await post(`meters/${encodeURIComponent(handset.meter.id)}/token`, { token });
      said.textContent = t(`token_${outcome}`, { n: days });
      if (outcome !== "accepted") return;
      field.value = "";
      this.onTyped(handset, days);
    } catch (error) {
      if (!(error instanceof Refused || error instanceof NoNetwork)) throw error;
      said.textContent = error instanceof Refused ? t("refused", { why: error.message }) : t("offline");
    }
  }
}
