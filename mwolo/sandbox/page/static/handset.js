// One phone: its SIM, its screen, its session, its prompts and its messages. Each is a world of its own.

import { farewell, get, isOnline, NoNetwork, post, Refused, repeat } from "./api.js";
import { now } from "./clock.js";
import { animate, make, partsOf } from "./dom.js";
import { draw, drawTime } from "./screen.js";
import { amountText, operatorOf, phoneText, skinOf, t, translate } from "./words.js";

const KEYS = [
  ["1", ""], ["2", "abc"], ["3", "def"], ["4", "ghi"], ["5", "jkl"], ["6", "mno"],
  ["7", "pqrs"], ["8", "tuv"], ["9", "wxyz"], ["*", ""], ["0", "+"], ["#", ""],
];
const BY_KEYBOARD = { Enter: "green", Escape: "red", Backspace: "clear", Delete: "clear", ArrowUp: "up", ArrowDown: "down" };
const LONGEST_CODE = 60;
const LONGEST_PIN = 8;
const HIDDEN_PIN = "••••";
const FRESH_SESSION = { kind: "idle" };
const PROMPT_EVERY_MS = 1000;
const SMS_EVERY_MS = 1200;
const METER_EVERY_MS = 1200;
const BATTERY_STEP_MS = 25_000;
const LAST_WORD_MS = 6000; // how long "paid" stays when nobody presses OK

export class Handset {
  /** `stage` is the page around: {config, choices(), onActive, onChange, onRemove, onMoney, note}. */
  constructor(template, colour, stage) {
    this.stage = stage;
    this.post = template.content.firstElementChild.cloneNode(true);
    this.parts = partsOf(this.post);
    this.post.dataset.colour = colour;
    this.customer = null;
    this.meter = null;
    this.state = { view: { kind: "off" }, entry: "", sms: [], chosen: 0 };
    this.configure(stage.config);
    this.stops = [];
    this.turn = 0;
    this.battery = 4;
    this.buildKeys();
    this.listen();
    translate(this.post);
    this.draw();
  }

  configure(config) {
    this.parts.writeto.textContent = t("write", { code: config.short_code.replace(/\D/g, "") });
    this.parts.letter.placeholder = t("write_hint");
    this.state.shortCode = config.short_code;
    this.state.mostSeptets = config.max_screen_septets;
  }

  buildKeys() {
    for (const [digit, letters] of KEYS) {
      const label = letters && letters !== "+" ? `${digit} ${letters}` : digit;
      this.parts.keys.append(
        make("button", { type: "button", "data-press": digit, "aria-label": label, tabindex: digit === "1" ? 0 : -1 },
          make("b", {}, digit), make("small", {}, letters)),
      );
    }
  }

  listen() {
    const { body, who, stranger, write, pin, agentpin, remove, softleft, softright, view } = this.parts;
    // A click on a key leaves the focus on the phone, so that the computer's Enter is the green key and not that key again.
    body.addEventListener("mousedown", (event) => {
      event.preventDefault();
      body.focus({ preventScroll: true });
    });
    body.addEventListener("click", (event) => {
      const key = event.target.closest("[data-press]");
      if (key) this.press(key.dataset.press, key);
      const row = event.target.closest("[data-index]");
      if (row && this.state.view.kind === "inbox") this.openMessage(Number(row.dataset.index));
    });
    body.addEventListener("keydown", (event) => this.typed(event));
    softleft.addEventListener("click", () => this.press("left"));
    softright.addEventListener("click", () => this.press("right"));
    view.addEventListener("click", (event) => {
      if (event.target.closest(".notice")) this.press("left");
      else if (event.target.closest(".hint")) this.press("green");
    });
    this.post.addEventListener("focusin", () => this.stage.onActive(this));
    this.post.addEventListener("pointerdown", () => this.stage.onActive(this));
    who.addEventListener("change", () => this.chooseWho(who.value));
    stranger.addEventListener("submit", (event) => {
      event.preventDefault();
      this.stage.onStranger(this, this.parts.number.value.trim());
    });
    write.addEventListener("submit", (event) => {
      event.preventDefault();
      this.write();
    });
    pin.addEventListener("click", () => this.showPin(pin.textContent === HIDDEN_PIN));
    agentpin.addEventListener("click", () => this.showAgentPin(agentpin.textContent === HIDDEN_PIN));
    remove.addEventListener("click", () => this.stage.onRemove(this));
  }

  // ---- the SIM card ----

  chooseWho(value) {
    this.parts.stranger.hidden = value !== "stranger";
    if (value === "stranger") this.parts.number.focus();
    else this.stage.onChoose(this, value);
  }

  /** Put this customer's card in: the old session is hung up, messages and prompts are the new number's. */
  insert(customer) {
    this.eject();
    this.customer = customer;
    this.parts.stranger.hidden = true;
    this.state = { ...this.state, view: FRESH_SESSION, entry: "", sms: [], chosen: 0 };
    this.meter = null;
    this.lastSms = 0;
    this.smsLoaded = false;
    this.answered = new Set();
    this.showCard();
    this.draw();
    this.stops = [
      repeat(PROMPT_EVERY_MS, () => this.pollPrompts()),
      repeat(SMS_EVERY_MS, () => this.pollSms()),
      repeat(BATTERY_STEP_MS, () => this.drain()),
    ];
    if (customer.meter) this.stops.push(repeat(METER_EVERY_MS, () => this.pollMeter()));
  }

  /** Take the card out and stop asking. */
  eject() {
    for (const stop of this.stops) stop();
    this.stops = [];
    if (this.inSession()) this.hangUp();
    this.turn += 1;
  }

  showCard() {
    const who = this.customer;
    this.parts.who.value = who.phone;
    this.parts.phone.textContent = `· ${phoneText(who.phone)}`;
    this.parts.account.textContent = who.account || t("no_account");
    this.parts.brand.textContent = who.brand_name || "–";
    this.parts.sim.dataset.brand = skinOf(who.brand, who.phone);
    this.parts.operator.textContent = isOnline() ? operatorOf(who) : t("no_service");
    this.parts.body.setAttribute("aria-label", t("phone_of", { name: this.name() }));
    this.showBalance();
    this.showPin(this.parts.pin.textContent === who.wallet_pin);
    // An agent sells for others and has no account of the own; instead there is the PIN that opens the float.
    this.parts.agentrow.hidden = !who.pin;
    this.parts.accountrow.hidden = Boolean(who.pin);
    this.showAgentPin(this.parts.agentpin.textContent === who.pin);
  }

  showBalance() {
    this.parts.balance.textContent = amountText(this.customer.balance, this.customer.currency);
  }

  showPin(open) {
    showSecret(this.parts.pin, open && this.customer ? this.customer.wallet_pin || "–" : null);
  }

  showAgentPin(open) {
    showSecret(this.parts.agentpin, open && this.customer ? this.customer.pin || "–" : null);
  }

  name() {
    return this.customer ? this.customer.name || this.customer.phone : "–";
  }

  // ---- keys ----

  typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest(".keys") && event.key.startsWith("Arrow")) {
      this.walkKeys(event);
      return;
    }
    // A focused button answers to Enter and Space by itself.
    if (event.key === "Enter" && event.target !== this.parts.body) return;
    const press = /^[0-9*#]$/.test(event.key) ? event.key : BY_KEYBOARD[event.key];
    if (!press) return;
    event.preventDefault();
    this.press(press, this.parts.body.querySelector(`[data-press="${press}"]`));
  }

  walkKeys(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -3, ArrowDown: 3 }[event.key];
    const keys = [...this.parts.keys.children];
    const here = keys.indexOf(event.target.closest("button"));
    const next = keys[here + step];
    event.preventDefault();
    if (!next) return;
    keys[here].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  /** One key of the phone: a digit, `*`, `#`, green, red, left, right, up, down, ok or clear. */
  press(key, element = null) {
    if (element) animate(element, "pressed");
    if (!this.customer) return;
    if (/^[0-9*#]$/.test(key)) this.addDigit(key);
    else if (key === "up" || key === "down") this.scroll(key === "up" ? -1 : 1);
    else if (key === "clear") this.erase();
    else if (key === "red") this.back(true);
    else if (key === "right") this.rightKey();
    else if (key === "green") this.go(true);
    else this.go(false);
    this.draw();
  }

  addDigit(digit) {
    const { view, entry } = this.state;
    if (view.kind === "prompt") {
      if (/\d/.test(digit) && entry.length < LONGEST_PIN) this.state.entry += digit;
      return;
    }
    if (view.kind === "busy") return;
    if (view.kind === "inbox" || view.kind === "message" || view.kind === "ended" || view.kind === "network") this.toIdle();
    if (this.state.view.kind === "outcome") this.toIdle();
    if (this.state.view.kind === "idle") this.state.view = { kind: "dial" };
    if (this.state.entry.length < LONGEST_CODE) this.state.entry += digit;
    if (this.state.entry === "*#06#") this.show({ kind: "ended", text: t("imei") });
  }

  erase() {
    this.state.entry = this.state.entry.slice(0, -1);
    if (this.state.view.kind === "dial" && this.state.entry === "") this.toIdle();
  }

  rightKey() {
    const { view, entry } = this.state;
    if (view.kind === "idle") this.dial(this.state.shortCode);
    else if (entry) this.erase();
    else this.back(false);
  }

  /** Green, OK or the left soft key: what a nod means on this screen. */
  go(green) {
    const { view, entry, sms } = this.state;
    if (view.kind === "idle") {
      if (green) this.dial(this.state.shortCode);
      else if (sms.some((text) => text.unread)) this.openMessage(sms.findIndex((text) => text.unread));
      else this.show({ kind: "inbox" });
    } else if (view.kind === "dial") this.dial(entry);
    else if (view.kind === "ussd") this.reply(entry);
    else if (view.kind === "prompt") this.answerPrompt({ pin: entry });
    else if (view.kind === "inbox") {
      if (sms.length) this.openMessage(this.state.chosen);
    } else if (view.kind === "message") {
      if (this.state.chosen + 1 < sms.length) this.openMessage(this.state.chosen + 1);
    } else if (["ended", "network", "outcome"].includes(view.kind)) this.toIdle();
  }

  /** The red key, or "cancel": out of where we are. Red goes all the way. */
  back(red) {
    const kind = this.state.view.kind;
    if (kind === "prompt") {
      this.answerPrompt({ decline: true });
      return;
    }
    if (this.inSession()) this.hangUp();
    if (kind === "message" && !red) this.show({ kind: "inbox" });
    else this.toIdle();
  }

  scroll(step) {
    if (this.state.view.kind === "inbox") {
      this.state.chosen = Math.min(Math.max(this.state.chosen + step, 0), Math.max(this.state.sms.length - 1, 0));
    } else if (this.state.view.kind === "idle" && step < 0) {
      this.post.classList.toggle("torch-on"); // every sturdy phone has one
    } else this.parts.view.scrollBy({ top: step * 54, behavior: "smooth" });
  }

  // ---- the session ----

  inSession() {
    return this.state.view.kind === "ussd" || this.state.view.kind === "busy";
  }

  async dial(code) {
    if (!/^[*#][0-9*#]*#$/.test(code)) {
      this.show({ kind: "network", text: t("only_codes", { code: this.state.shortCode }) });
      return;
    }
    this.stage.note("did_dial", { name: this.name(), code });
    await this.exchange("dial", { code }, t("running"));
  }

  async reply(input) {
    await this.exchange("reply", { input }, t("waiting"));
  }

  async exchange(step, body, meanwhile) {
    const mine = ++this.turn;
    this.show({ kind: "busy", text: meanwhile });
    let answer;
    try {
      answer = await post(`ussd/${encodeURIComponent(this.customer.phone)}/${step}`, body);
    } catch (error) {
      if (mine === this.turn) this.show({ kind: "network", text: error instanceof Refused ? error.message : t("mmi") });
      if (error instanceof Refused || error instanceof NoNetwork) return;
      throw error;
    }
    if (mine !== this.turn) {
      // The red key was quicker than the network: nobody is left to read this.
      if (!answer.ended && !this.inSession()) this.hangUp();
    } else if (answer.error && !answer.text) this.show({ kind: "network", text: answer.error });
    else this.show({ kind: answer.ended ? "ended" : "ussd", text: answer.text, said: answer.error });
  }

  hangUp() {
    this.turn += 1;
    post(`ussd/${encodeURIComponent(this.customer.phone)}/hangup`).catch(() => {});
  }

  leave() {
    if (this.customer && this.inSession()) farewell(this.customer.phone);
  }

  // ---- the operator's prompt ----

  async pollPrompts() {
    const open = await get(`prompts?phone=${encodeURIComponent(this.customer.phone)}`);
    const { view } = this.state;
    if (view.kind === "prompt") {
      const still = open.some((prompt) => prompt.id === view.prompt.id);
      if (!still && !this.answering) this.closePrompt(view.said ? "blocked" : "expired");
      return;
    }
    // A phone that is in a session cannot show it; the network keeps it waiting.
    if (this.inSession()) return;
    const next = open.find((prompt) => !this.answered.has(prompt.id));
    if (!next) return;
    this.show({ kind: "prompt", prompt: next });
    animate(this.parts.body, "buzz");
    this.stage.note("did_prompt", { brand: next.brand_name, name: this.name(), amount: amountText(next.amount, next.currency) });
  }

  async answerPrompt(answer) {
    const asked = this.state.view.prompt;
    if (this.answering || (!answer.decline && answer.pin === "")) return;
    this.answering = true;
    this.state.entry = "";
    let outcome;
    try {
      ({ outcome } = await post(`prompts/${encodeURIComponent(this.customer.phone)}`, { id: asked.id, ...answer }));
    } catch (error) {
      outcome = error instanceof Refused ? "expired" : "unknown";
    } finally {
      this.answering = false;
    }
    if (outcome === "wrong_pin") {
      this.show({ kind: "prompt", prompt: asked, said: t("outcome_wrong_pin") });
      animate(this.parts.body, "buzz");
      return;
    }
    this.closePrompt(outcome);
  }

  closePrompt(outcome) {
    const asked = this.state.view.prompt;
    // An answer that was lost may not have arrived: the operator may ask again, and then we show it again.
    if (outcome !== "unknown") this.answered.add(asked.id);
    this.show({ kind: "outcome", outcome, text: t(`outcome_${outcome}`) });
    const amount = amountText(asked.amount, asked.currency);
    const event = { paid: "did_paid", declined: "did_decline" }[outcome] ?? "did_fail";
    this.stage.note(event, { name: this.name(), amount });
    this.stage.onMoney();
    const shown = this.state.view;
    setTimeout(() => {
      if (this.state.view === shown) this.toIdle();
    }, LAST_WORD_MS);
  }

  // ---- messages ----

  async pollSms() {
    const phone = encodeURIComponent(this.customer.phone);
    const fresh = await get(`sms?phone=${phone}&after=${this.lastSms}`);
    this.lastSms = Math.max(this.lastSms, ...fresh.map((text) => text.id));
    const known = new Set(this.state.sms.map((text) => `${text.id} ${text.text}`));
    // What comes while we look is stamped with the hour of business, as the idle screen shows it.
    const stamp = (text) => ({ ...text, at: this.smsLoaded ? now().toISOString() : text.at, unread: true });
    const added = fresh.filter((text) => !known.has(`${text.id} ${text.text}`)).map(stamp);
    // Newest on top, as on every phone; who reads one keeps reading the same one.
    this.state.sms = [...added.reverse(), ...this.state.sms];
    if (this.state.view.kind === "message" || this.state.view.kind === "inbox") this.state.chosen += added.length;
    if (added.length > 0 && this.smsLoaded) {
      animate(this.parts.body, "buzz");
      this.stage.note("did_sms", { name: this.name() });
      this.stage.onMoney();
    }
    this.smsLoaded = true;
    this.draw();
  }

  /** Text the utility what stands in the box. The answer comes like any other message. */
  async write() {
    const { letter } = this.parts;
    const text = letter.value.trim();
    if (!text || !this.customer) return;
    try {
      await post("sms", { phone: this.customer.phone, text });
      letter.value = "";
      this.stage.note("did_write", { name: this.name(), text });
    } catch (error) {
      if (!(error instanceof Refused || error instanceof NoNetwork)) throw error;
      letter.setCustomValidity(error instanceof Refused ? error.message : t("write_lost"));
      letter.reportValidity();
      letter.addEventListener("input", () => letter.setCustomValidity(""), { once: true });
    }
  }

  openMessage(index) {
    this.state.chosen = index;
    this.state.sms[index].unread = false;
    this.show({ kind: "message" });
  }

  // ---- the meter, the battery, the air ----

  async pollMeter() {
    const before = this.meter?.supply;
    this.meter = await get(`meters/${encodeURIComponent(this.customer.meter)}`);
    if (before && before !== this.meter.supply) {
      this.stage.note(this.meter.supply === "on" ? "did_on" : "did_off", { name: this.name() });
    }
    this.drawBattery();
    this.stage.onMeter(this);
  }

  /** A phone charges at home. Without power there, it lives on what it has. */
  drain() {
    this.battery = this.meter?.supply === "off" ? Math.max(1, this.battery - 1) : 4;
    this.drawBattery();
  }

  drawBattery() {
    this.parts.battery.dataset.level = this.battery;
    this.parts.battery.classList.toggle("charging", this.meter?.supply === "on");
  }

  /** The server went away or came back. After a restart its messages may be other ones: they are read anew. */
  networkChanged(online) {
    this.post.classList.toggle("no-signal", !online);
    if (this.customer) this.parts.operator.textContent = online ? operatorOf(this.customer) : t("no_service");
    if (online) this.lastSms = 0;
  }

  // ---- drawing ----

  show(view) {
    this.state.entry = "";
    this.state.view = view;
    this.draw();
  }

  toIdle() {
    this.show(FRESH_SESSION);
  }

  draw() {
    draw(this.parts, this.state);
  }

  tick() {
    drawTime(this.parts);
  }

  retranslate() {
    translate(this.post);
    this.configure(this.stage.config);
    this.parts.view.dataset.drawn = "";
    if (this.customer) this.showCard();
    this.draw();
  }
}

/** Show a secret on its button; null hides it. */
function showSecret(button, secret) {
  button.textContent = secret ?? HIDDEN_PIN;
  button.setAttribute("aria-label", secret ?? t("pin_show"));
}
