// The page's own words, French first. What the phone shows in a session comes from the system, word for word.

import { nameOf, sentenceOf } from "./fault_words.js";

const WORDS = {
  fr: {
    title: "Le bac à sable",
    lead: "Un vrai système, de faux opérateurs : composez, payez, la lumière revient.",
    page_title: "Mwolo · le téléphone",
    offline: "Pas de réseau… on réessaie.",
    links: "Liens", console: "Console", verify: "Vérifier un reçu", mail: "Courriels", page_language: "Langue de la page",
    phones: "Téléphones", add_phone: "Poser un autre téléphone sur la table", remove: "Enlever ce téléphone",
    world: "Le monde", sim: "Carte SIM", account: "Compte", pin: "PIN", agent_pin: "PIN agent", pin_show: "Montrer le PIN", number: "Numéro",
    insert: "Insérer", stranger: "Un inconnu…", no_account: "aucun",
    write: "Écrire un SMS au {code}", write_hint: "SOLDE, PAYER 5000, AIDE…", write_lost: "Le message n'est pas parti.",
    customers: "Clients", keypads: "Prépayés, compteur à clavier", agents: "Agents", strangers: "Inconnus",
    up: "Haut", down: "Bas", green: "Appeler, envoyer", red: "Raccrocher, annuler", keypad: "Clavier",
    phone_of: "Téléphone de {name}. Tapez au clavier : chiffres, * et #, Entrée pour envoyer, Échap pour raccrocher.",
    no_service: "Pas de réseau", no_sim: "Choisissez une carte SIM",
    hint: "Appuyez sur la touche verte", messages: "Messages", read: "Lire", back: "Retour", next: "Suivant",
    call: "Appeler", erase: "Effacer", send: "Envoyer", cancel: "Annuler", ok: "OK", decline: "Refuser",
    running: "Exécution du code USSD…", waiting: "Un instant…",
    mmi: "Problème de connexion ou code IHM non valide.",
    only_codes: "Ce téléphone ne connaît que les codes. Essayez {code}",
    reply: "Réponse", pin_entry: "Code PIN", septets: "{n} caractères GSM sur {most}", not_gsm: "hors alphabet GSM",
    new_message: "1 nouveau message", new_messages: "{n} nouveaux messages", no_messages: "Aucun message. Le calme.",
    message_of: "Message {n} sur {all}",
    request_of: "Demande de {brand}",
    outcome_paid: "C'est payé. Merci !", outcome_no_funds: "Solde insuffisant.", outcome_declined: "Demande refusée. Rien n'est débité.",
    outcome_wrong_pin: "PIN incorrect. Encore une fois.", outcome_blocked: "Trop d'essais. La demande est fermée.",
    outcome_expired: "La demande a expiré.", outcome_unknown: "La réponse s'est perdue. Regardez vos SMS.",
    at_home: "Chez {name}", nobody_home: "Personne à la maison", no_meter: "Pas de compteur à ce numéro.",
    supply_on: "Il y a du courant.", supply_off: "C'est le noir.", supply_unknown: "On cherche le compteur…",
    meter: "Compteur {id}", relay_open: "relais ouvert", relay_closed: "relais fermé", on: "on", off: "off", version: "ordre n° {v}", unreachable: "injoignable",
    purse: "Porte-monnaie", clock: "L'horloge des affaires",
    plus_hour: "+1 h", tomorrow: "demain 09:00", plus_3_days: "+3 j", plus_week: "+7 j",
    time_flies: "Le temps passe, le système travaille…", time_landed: "Arrivé. {n} tâches ont tourné.",
    time_landed_1: "Arrivé. Une tâche a tourné.", time_landed_0: "Arrivé. Rien n'était dû.", time_stuck: "L'horloge n'a pas répondu.",
    ahead: "+{d}", unit_day: "j", unit_hour: "h", unit_minute: "min",
    faults: "Semer des pannes", target: "Chez qui", fault: "Quelle panne", times: "Combien de fois", until_cleared: "toujours",
    seconds: "Secondes", code: "Code", sow: "Semer", clear: "Tout réparer", cleared: "Tout est réparé.",
    sown: "C'est semé. Bonne chance.", no_faults: "Tout marche. C'est louche.", times_left: "encore {n}×",
    token: "Code du compteur", type_token: "Taper", days_left: "{n} jours", token_accepted: "Accepté : +{n} jours.",
    token_already_used: "Ce code a déjà servi.", token_wrong: "Code faux.",
    meter_online: "Le compteur capte la radio", refused: "Refusé : {why}",
    ledgers: "Les livres des opérateurs", whose_book: "Le livre de", ledger_total: "Garde pour nous : {total} · {calls} appels reçus",
    ledger_empty: "Rien d'écrit. Personne n'a rien demandé.", statement: "Télécharger le relevé", day: "Jour", currency: "Monnaie",
    take_back: "Reprendre", taken_back: "Repris. L'argent est rendu au client ; le relevé le dit.",
    stray: "Payer sans nous, depuis le menu de l'opérateur", amount: "Montant", reference: "Référence tapée", stray_send: "Envoyer", stray_sent: "C'est parti. L'opérateur a l'argent.",
    state_asked: "attend le PIN", state_paid: "payé", state_failed: "échoué", state_expired: "expiré", state_reversed: "payé, puis repris",
    state_refunded: "remboursé", state_refund_asked: "remboursement en cours", state_refund_failed: "remboursement refusé", state_taken: "repris par l'opérateur", state_walk_in: "venu tout seul",
    reason_declined: "le client a refusé", reason_wrong_pin: "PIN faux trois fois", reason_no_funds: "solde insuffisant", reason_expired: "personne n'a répondu",
    reason_busy: "téléphone occupé", reason_payer_unknown: "numéro inconnu", reason_unknown_payment: "paiement inconnu", reason_too_much: "plus qu'il n'en reste", reason_reversed: "déjà rendu",
    diary: "Ce qui s'est passé", diary_empty: "Rien encore. Composez le code, pour voir.",
    did_dial: "{name} compose {code}", did_prompt: "{brand} demande {amount} à {name}", did_paid: "{name} paie {amount}",
    did_decline: "{name} refuse", did_fail: "{name} n'a pas payé", did_sms: "SMS pour {name}", did_write: "{name} écrit : {text}",
    did_token: "Le compteur de {name} a pris un code : +{n} jours",
    did_on: "La lumière revient chez {name}", did_off: "Coupure chez {name}", did_time: "L'horloge passe à {when}",
    imei: "IMEI 35 000000 000000 0\nSolide depuis toujours.",
  },
  en: {
    title: "The sandbox",
    lead: "A real system, make-believe operators: dial, pay, the light comes back.",
    page_title: "Mwolo · the phone",
    offline: "No network… trying again.",
    links: "Links", console: "Console", verify: "Check a receipt", mail: "Mail", page_language: "Language of this page",
    phones: "Phones", add_phone: "Put another phone on the table", remove: "Take this phone away",
    world: "The world", sim: "SIM card", account: "Account", pin: "PIN", agent_pin: "Agent's PIN", pin_show: "Show the PIN", number: "Number",
    insert: "Insert", stranger: "A stranger…", no_account: "none",
    write: "Text {code}", write_hint: "BALANCE, PAY 5000, HELP…", write_lost: "The message did not leave.",
    customers: "Customers", keypads: "Prepaid, meter with a keypad", agents: "Agents", strangers: "Strangers",
    up: "Up", down: "Down", green: "Call, send", red: "Hang up, cancel", keypad: "Keypad",
    phone_of: "Phone of {name}. Type on your keyboard: digits, * and #, Enter to send, Escape to hang up.",
    no_service: "No network", no_sim: "Choose a SIM card",
    hint: "Press the green key", messages: "Messages", read: "Read", back: "Back", next: "Next",
    call: "Call", erase: "Clear", send: "Send", cancel: "Cancel", ok: "OK", decline: "Decline",
    running: "USSD code running…", waiting: "One moment…",
    mmi: "Connection problem or invalid MMI code.",
    only_codes: "This phone only knows codes. Try {code}",
    reply: "Reply", pin_entry: "PIN", septets: "{n} GSM characters of {most}", not_gsm: "not in the GSM alphabet",
    new_message: "1 new message", new_messages: "{n} new messages", no_messages: "No messages. Peace and quiet.",
    message_of: "Message {n} of {all}",
    request_of: "{brand} request",
    outcome_paid: "Paid. Thank you!", outcome_no_funds: "Not enough money.", outcome_declined: "Declined. Nothing was taken.",
    outcome_wrong_pin: "Wrong PIN. Once more.", outcome_blocked: "Too many tries. The request is closed.",
    outcome_expired: "The request has expired.", outcome_unknown: "The answer was lost. Watch your SMS.",
    at_home: "{name}'s home", nobody_home: "Nobody home", no_meter: "No meter for this number.",
    supply_on: "The power is on.", supply_off: "It is dark.", supply_unknown: "Looking for the meter…",
    meter: "Meter {id}", relay_open: "relay open", relay_closed: "relay closed", on: "on", off: "off", version: "order no. {v}", unreachable: "out of reach",
    purse: "Wallet", clock: "The business clock",
    plus_hour: "+1 h", tomorrow: "tomorrow 09:00", plus_3_days: "+3 d", plus_week: "+7 d",
    time_flies: "Time flies, the system works…", time_landed: "There. {n} tasks ran.",
    time_landed_1: "There. One task ran.", time_landed_0: "There. Nothing was due.", time_stuck: "The clock did not answer.",
    ahead: "+{d}", unit_day: "d", unit_hour: "h", unit_minute: "min",
    faults: "Sow some trouble", target: "Whose", fault: "Which fault", times: "How often", until_cleared: "always",
    seconds: "Seconds", code: "Code", sow: "Sow", clear: "Mend everything", cleared: "All mended.",
    sown: "Sown. Good luck.", no_faults: "Everything works. Suspicious.", times_left: "{n}× left",
    token: "Meter token", type_token: "Type", days_left: "{n} days", token_accepted: "Accepted: +{n} days.",
    token_already_used: "This token was used before.", token_wrong: "Wrong token.",
    meter_online: "The meter has radio", refused: "Refused: {why}",
    ledgers: "The operators' books", whose_book: "The book of", ledger_total: "Holds for us: {total} · {calls} calls received",
    ledger_empty: "Nothing written. Nobody has asked for anything.", statement: "Download the statement", day: "Day", currency: "Currency",
    take_back: "Take it back", taken_back: "Taken back. The customer has the money again; the statement says so.",
    stray: "Pay without us, from the operator's menu", amount: "Amount", reference: "Reference typed", stray_send: "Send", stray_sent: "Sent. The operator has the money.",
    state_asked: "waits for the PIN", state_paid: "paid", state_failed: "failed", state_expired: "expired", state_reversed: "paid, then taken back",
    state_refunded: "refunded", state_refund_asked: "refund under way", state_refund_failed: "refund refused", state_taken: "taken back by the operator", state_walk_in: "came by itself",
    reason_declined: "the customer declined", reason_wrong_pin: "wrong PIN three times", reason_no_funds: "not enough money", reason_expired: "nobody answered",
    reason_busy: "phone busy", reason_payer_unknown: "number unknown", reason_unknown_payment: "payment unknown", reason_too_much: "more than is left", reason_reversed: "gone back already",
    diary: "What happened", diary_empty: "Nothing yet. Dial the code and see.",
    did_dial: "{name} dials {code}", did_prompt: "{brand} asks {name} for {amount}", did_paid: "{name} pays {amount}",
    did_decline: "{name} declines", did_fail: "{name} did not pay", did_sms: "SMS for {name}", did_write: "{name} writes: {text}",
    did_token: "{name}'s meter took a token: +{n} days",
    did_on: "{name}'s light comes back", did_off: "{name} is cut off", did_time: "The clock moves to {when}",
    imei: "IMEI 35 000000 000000 0\nSturdy since forever.",
  },
};

const TARGETS = {
  vodacom: "Vodacom M-Pesa", airtel: "Airtel Money", orange: "Orange Money", mpesa_ke: "M-PESA Kenya (Daraja)", pawapay: "pawaPay",
  africastalking: "Africa's Talking", email: "courriel / e-mail", meters: "compteurs / meters",
};

let language = "fr";

export function setLanguage(next) {
  language = next in WORDS ? next : "fr";
  document.documentElement.lang = language;
}

export function currentLanguage() {
  return language;
}

/** The sentence for a key in the page's language, its {blanks} filled. An unknown key shows itself: never an empty button. */
export function t(key, blanks = {}) {
  const sentence = WORDS[language][key] ?? WORDS.fr[key] ?? key;
  return sentence.replace(/\{(\w+)\}/g, (whole, name) => shown(blanks[name] ?? whole));
}

/** A number in the page's own manner, 26,5 in French; anything else as it is. */
export function shown(value) {
  return typeof value === "number" ? new Intl.NumberFormat(language, { maximumFractionDigits: 1 }).format(value) : String(value);
}

export const faultName = (fault) => nameOf(language, fault);
export const faultSentence = (fault) => sentenceOf(language, fault);

/** Why money did not move, in the operator's book: our words for ours, the operator's code as it is. */
export function reasonText(reason) {
  return WORDS[language][`reason_${reason}`] ?? reason;
}

export function targetName(target) {
  return TARGETS[target] ?? target;
}

/** Fill every marked element below `root` with the page's language. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-t-label]")) element.setAttribute("aria-label", t(element.dataset.tLabel));
}

/** +243810000001 → "+243 81 000 0001", as numbers are read out in the country; +254712000001 → "+254 712 000 001". */
export function phoneText(phone) {
  return phone.replace(/^(\+243)(\d{2})(\d{3})(\d{4})$/, "$1 $2 $3 $4").replace(/^(\+254)(\d{3})(\d{3})(\d{3})$/, "$1 $2 $3 $4");
}

/** Whose colours a wallet wears. Two companies call theirs M-Pesa: the one in Kenya is another. */
export function skinOf(brand, phone) {
  return brand === "mpesa" && phone?.startsWith("+254") ? "mpesa_ke" : (brand ?? "");
}

/** The network's name as the idle screen shows it: the operator behind the wallet. */
export function operatorOf(customer) {
  const networks = { mpesa: "Vodacom CD", mpesa_ke: "Safaricom KE", airtel: "Airtel CD", orange: "Orange CD" };
  return networks[skinOf(customer.brand, customer.phone)] ?? customer.brand_name ?? "–";
}

export function amountText(amount, currency) {
  const value = Number(amount);
  if (amount === null || amount === undefined || amount === "" || Number.isNaN(value)) return "–";
  return `${new Intl.NumberFormat(language, { maximumFractionDigits: 2 }).format(value)} ${currency ?? ""}`.trim();
}

export function timeText(moment, zone) {
  return new Intl.DateTimeFormat("fr", { hour: "2-digit", minute: "2-digit", timeZone: zone }).format(moment);
}

export function dateText(moment, zone, style = "long") {
  const parts = style === "long" ? { weekday: "long", day: "numeric", month: "long" } : { day: "2-digit", month: "2-digit" };
  return new Intl.DateTimeFormat(language === "en" ? "en-GB" : "fr", { ...parts, timeZone: zone }).format(moment);
}
