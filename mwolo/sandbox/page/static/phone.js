// The page: who sits at the table, whose home is in the window, and when to ask the server what.

import { get, isOnline, NoNetwork, onNetwork, post, Refused, repeat } from "./api.js";
import { byId, make, recall, remember } from "./dom.js";
import { Faults } from "./faults.js";
import { Handset } from "./handset.js";
import { Ledgers } from "./ledgers.js";
import { currentLanguage, phoneText, setLanguage, t, translate } from "./words.js";
import { World } from "./world.js";

const COLOURS = 5;
const MOST_PHONES = 6;
const ROOM_FOR_TWO = "(min-width: 1000px)";

const page = {
  config: { short_code: "*123#" },
  customers: [],
  keypads: new Set(),
  handsets: [],
  active: null,
  colour: 0,
  world: new World(),
};
const faults = new Faults(() => page.active?.customer?.meter);
const ledgers = new Ledgers(() => page.active?.customer?.phone);

const stage = {
  get config() {
    return page.config;
  },
  onActive: activate,
  onMeter: (handset) => handset === page.active && page.world.show(handset),
  onChoose: (handset, phone) => seat(handset, page.customers.find((row) => row.phone === phone)),
  onRemove: removePhone,
  onStranger: invite,
  onMoney: () => readCustomers().catch(() => {}),
  note: (key, blanks) => page.world.note(key, blanks),
};

// ---- phones on the table ----

function addPhone(customer) {
  const handset = new Handset(byId("handset"), page.colour++ % COLOURS, stage);
  page.handsets.push(handset);
  byId("phones").insertBefore(handset.post, byId("add-phone"));
  fillChoices(handset);
  if (customer) handset.insert(customer);
  tableChanged();
  return handset;
}

function removePhone(handset) {
  handset.eject();
  handset.post.remove();
  page.handsets = page.handsets.filter((other) => other !== handset);
  if (page.active === handset) activate(page.handsets[0] ?? null);
  tableChanged();
  (page.active?.parts.body ?? byId("add-phone")).focus();
}

function seat(handset, customer) {
  if (!customer) return;
  handset.insert(customer);
  fillChoices(handset);
  activate(handset);
  tableChanged();
}

/** Give a number nobody knows a phone of its own. */
async function invite(handset, number) {
  try {
    const row = await post("phones", { phone: number.replace(/[^\d+]/g, "") });
    await readCustomers();
    seat(handset, page.customers.find((other) => other.phone === row.phone) ?? row);
    handset.parts.number.setCustomValidity("");
  } catch (error) {
    if (!(error instanceof Refused || error instanceof NoNetwork)) throw error;
    handset.parts.number.setCustomValidity(error instanceof Refused ? error.message : t("offline"));
    handset.parts.number.reportValidity();
    handset.parts.number.addEventListener("input", () => handset.parts.number.setCustomValidity(""), { once: true });
  }
}

function activate(handset) {
  if (page.active === handset && handset) return;
  page.active = handset;
  for (const other of page.handsets) other.post.classList.toggle("active", other === handset);
  page.world.show(handset);
}

function tableChanged() {
  for (const handset of page.handsets) handset.parts.remove.hidden = page.handsets.length < 2;
  byId("add-phone").hidden = page.handsets.length >= MOST_PHONES;
  const seated = page.handsets.filter((handset) => handset.customer).map((handset) => handset.customer.phone);
  if (seated.length) remember("phones", seated);
}

// ---- who may sit there ----

function fillChoices(handset) {
  const taken = new Set(page.handsets.filter((other) => other !== handset).map((other) => other.customer?.phone));
  const kindOf = (row) => (page.keypads.has(row.meter) ? "keypad" : row.kind ?? "customer");
  const kinds = [["customer", "customers"], ["keypad", "keypads"], ["agent", "agents"], ["stranger", "strangers"]];
  const groups = kinds.map(([kind, words]) => {
    const rows = page.customers.filter((row) => kindOf(row) === kind && !taken.has(row.phone));
    return rows.length ? make("optgroup", { label: t(words) }, ...rows.map((row) => make("option", { value: row.phone }, choiceText(row)))) : null;
  });
  handset.parts.who.replaceChildren(...groups.filter(Boolean), make("option", { value: "stranger" }, t("stranger")));
  if (handset.customer) handset.parts.who.value = handset.customer.phone;
}

const choiceText = (row) => (row.name && row.name !== row.phone ? row.name : phoneText(row.phone));

async function readCustomers() {
  page.customers = await get("phones");
  page.keypads = new Set((await get("keypads")).map((meter) => meter.id));
  for (const handset of page.handsets) {
    const fresh = page.customers.find((row) => row.phone === handset.customer?.phone);
    if (!fresh) continue;
    handset.customer = fresh;
    handset.showBalance();
  }
  page.world.show(page.active);
}

function nextCustomer(candidates = page.customers) {
  const taken = new Set(page.handsets.map((handset) => handset.customer?.phone));
  return candidates.find((row) => !taken.has(row.phone) && row.kind !== "stranger") ?? candidates.find((row) => !taken.has(row.phone));
}

/** Whom a newcomer should meet first: somebody in the dark, whose light can come back; then a neighbour on another network. */
async function firstGuests(count) {
  const asked = new URLSearchParams(location.search).getAll("phone").map((phone) => phone.replace(/^ /, "+"));
  const wanted = asked.length ? asked : recall("phones", []);
  const known = wanted.map((phone) => page.customers.find((row) => row.phone === phone)).filter(Boolean);
  if (known.length) return known.slice(0, MOST_PHONES);
  const dark = new Set((await get("meters")).filter((meter) => meter.supply === "off").map((meter) => meter.id));
  const people = page.customers.filter((row) => row.kind === "customer");
  const first = people.find((row) => dark.has(row.meter) && row.language === "fr") ?? people.find((row) => dark.has(row.meter)) ?? people[0];
  const second = people.find((row) => row !== first && row.brand !== first?.brand) ?? people[1];
  return [first, second].filter(Boolean).slice(0, count);
}

// ---- the page ----

function showLanguage(language) {
  setLanguage(language);
  remember("language", currentLanguage());
  document.title = t("page_title");
  translate(document);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === currentLanguage()));
  }
  for (const handset of page.handsets) {
    fillChoices(handset);
    handset.retranslate();
  }
  byId("clock-said").textContent = "";
  faults.retranslate();
  ledgers.retranslate();
  page.world.tick();
  page.world.drawDiary();
  page.world.show(page.active);
  showLinks();
}

function showLinks() {
  const { admin, web } = page.config;
  const links = [[admin, "console"], [web && `${web}/verify/`, "verify"], [web && `${web}/sandbox/mail`, "mail"]].filter(([url]) => /^https?:\/\//.test(url ?? ""));
  byId("links").replaceChildren(...links.map(([url, words]) => make("a", { href: url }, t(words))));
}

function networkChanged(online) {
  document.body.dataset.network = online ? "on" : "off";
  byId("no-network").hidden = online;
  for (const handset of page.handsets) handset.networkChanged(online);
  if (online && page.started) Promise.all([readConfig(), readCustomers()]).catch(() => {});
}

async function readConfig() {
  page.config = { ...page.config, ...(await get("config")) };
  for (const handset of page.handsets) handset.configure(page.config);
  showLinks();
}

/** Lay the table once the server answers; until then keep knocking. */
async function start() {
  if (page.started) return;
  await readConfig();
  // The box alone, without the product behind it, has no business clock: phones work, the clock's keys do not.
  await page.world.readClock().catch(() => {});
  await readCustomers();
  if (page.customers.length === 0) return;
  const guests = await firstGuests(matchMedia(ROOM_FOR_TWO).matches ? 2 : 1);
  for (const guest of guests) addPhone(guest);
  for (const handset of page.handsets) fillChoices(handset);
  page.started = true;
  activate(page.handsets[0] ?? null);
  page.active?.parts.body.focus({ preventScroll: true });
  repeat(10_000, readCustomers);
  repeat(3000, () => page.world.readClock());
  repeat(3000, () => (byId("faults").open || !isOnline() ? faults.read() : undefined));
  repeat(2000, () => (byId("ledgers").open ? ledgers.read() : undefined));
  faults.read().catch(() => {});
}

onNetwork(networkChanged);
showLanguage(new URLSearchParams(location.search).get("lang") ?? recall("language", "fr"));
for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => showLanguage(button.dataset.language));
}
byId("add-phone").addEventListener("click", () => {
  const handset = addPhone(nextCustomer());
  for (const other of page.handsets) fillChoices(other);
  activate(handset);
  handset.parts.body.focus();
});
byId("faults").addEventListener("toggle", () => byId("faults").open && faults.read().catch(() => {}));
byId("ledgers").addEventListener("toggle", () => byId("ledgers").open && ledgers.read().catch(() => {}));
addEventListener("pagehide", () => page.handsets.forEach((handset) => handset.leave()));
setInterval(() => {
  page.world.tick();
  for (const handset of page.handsets) handset.tick();
}, 1000);
const stopKnocking = repeat(1000, async () => {
  await start();
  if (page.started) stopKnocking();
});
