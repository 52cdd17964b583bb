// What can go wrong, in the page's two languages: a short name for the list, and a sentence that says what happens.

const WALLET = {
  fr: {
    slow: ["répond lentement", "La demande est prise, le PIN est demandé, mais la réponse se fait attendre."],
    lost_answer: ["accepte, puis coupe", "La demande est prise, le PIN est demandé, et la ligne est coupée sans réponse. Le client peut payer : qui redemande encaisse deux fois."],
    error_after_accept: ["accepte, puis répond 500", "La demande est prise, mais la réponse est une erreur. C'est un doute, pas un refus."],
    error_before_accept: ["répond 500, rien n'est pris", "La même erreur, mais ici rien n'a été pris. De dehors, on ne voit pas la différence."],
    overloaded: ["surchargé", "L'opérateur dit clairement qu'il n'a rien pris : on peut demander encore une fois."],
    throttled: ["trop d'appels (429)", "L'opérateur refuse d'en entendre plus pour l'instant. Rien n'est pris."],
    expired_token: ["jeton expiré", "Le jeton meurt avant son heure. Il en faut un nouveau, puis on recommence."],
    expired_session: ["session expirée", "La session meurt avant son heure. Il en faut une nouvelle, puis on recommence."],
    refused: ["refuse", "L'opérateur dit non, sans demander de PIN."],
    no_funds: ["solde insuffisant", "Le PIN est bon, le porte-monnaie est vide."],
    wrong_amount: ["encaisse un autre montant", "Le client est débité d'une autre somme que celle demandée."],
    wrong_currency: ["encaisse une autre monnaie", "Le client est débité dans une autre monnaie que celle demandée."],
    late_success: ["expire, puis paie", "L'opérateur dit que c'est expiré. Plus tard, il débite le client quand même."],
    never_final: ["jamais fini", "Aucun PIN n'est demandé, et la demande reste en attente pour toujours."],
    reversed: ["reprend l'argent", "Le client paie, puis l'opérateur lui rend l'argent. On ne le voit que dans le relevé."],
    lost_callback: ["rappel perdu", "Le client paie, mais personne ne nous le dit. Il faut demander."],
    duplicate_callback: ["rappel en double", "La même nouvelle arrive deux fois."],
    reordered_callbacks: ["rappels dans le désordre", "Un rappel attend que le suivant soit parti : les nouvelles arrivent à l'envers."],
    callback_before_answer: ["rappel avant la réponse", "La nouvelle du paiement arrive avant la réponse à la demande."],
    forged_callback: ["faux rappel", "Quelqu'un prétend que le client a payé. Il n'a rien payé."],
    unknown_reference: ["rappel sur un inconnu", "En plus du vrai rappel, il en vient un sur un paiement que personne ne connaît."],
    clock_skew: ["horloge fausse", "Les heures que dit l'opérateur sont décalées, jusqu'à ce qu'on répare."],
    not_indexed: ["ne se retrouve pas", "L'opérateur ne retrouve pas encore un paiement qu'il vient de prendre."],
    bad_signature: ["signature fausse", "Le rappel arrive avec une signature qui ne va pas avec lui."],
  },
  en: {
    slow: ["answers slowly", "The request is taken, the PIN is asked for, but the answer takes its time."],
    lost_answer: ["accepts, then hangs up", "The request is taken, the PIN is asked for, and the line is cut without an answer. The customer may pay: who asks again charges twice."],
    error_after_accept: ["accepts, then says 500", "The request is taken, but the answer is an error. That is a doubt, not a no."],
    error_before_accept: ["says 500, takes nothing", "The same error, but here nothing was taken. From outside nobody sees the difference."],
    overloaded: ["overloaded", "The operator says plainly that it took nothing: asking once more is allowed."],
    throttled: ["too many calls (429)", "The operator will hear no more for now. Nothing is taken."],
    expired_token: ["token expired", "The token dies before its hour. A new one is needed, then again."],
    expired_session: ["session expired", "The session dies before its hour. A new one is needed, then again."],
    refused: ["refuses", "The operator says no, without asking for a PIN."],
    no_funds: ["not enough money", "The PIN is right, the wallet is empty."],
    wrong_amount: ["collects another amount", "The customer is charged another sum than was asked for."],
    wrong_currency: ["collects another currency", "The customer is charged in another currency than was asked for."],
    late_success: ["expires, then pays", "The operator says it has expired. Later it charges the customer after all."],
    never_final: ["never ends", "No PIN is asked for, and the request stays pending for ever."],
    reversed: ["takes the money back", "The customer pays, then the operator gives the money back. Only the statement shows it."],
    lost_callback: ["callback lost", "The customer pays, but nobody tells us. We have to ask."],
    duplicate_callback: ["callback twice", "The same news comes twice."],
    reordered_callbacks: ["callbacks out of order", "A callback waits until the next one has left: the news comes the wrong way round."],
    callback_before_answer: ["callback before the answer", "The news of the payment comes before the answer to the request."],
    forged_callback: ["forged callback", "Somebody claims that the customer has paid. Nothing was paid."],
    unknown_reference: ["callback about a stranger", "Besides the true callback there is one about a payment nobody knows."],
    clock_skew: ["wrong clock", "The times the operator tells are off, until it is mended."],
    not_indexed: ["cannot find it yet", "The operator does not yet find a payment it has just taken."],
    bad_signature: ["wrong signature", "The callback comes with a signature that does not fit it."],
  },
};

const OTHERS = {
  fr: {
    sms_refused: ["SMS refusé", "L'agrégateur refuse le SMS."],
    sms_slow: ["SMS lent", "Le SMS part, la réponse se fait attendre."],
    sms_lost_answer: ["SMS parti, réponse perdue", "Le SMS part et arrive, mais la ligne est coupée sans réponse."],
    delivery_lost: ["accusé perdu", "Le SMS arrive, son accusé de réception jamais."],
    delivery_failed: ["SMS non remis", "Le SMS n'arrive pas, et l'accusé le dit."],
    delivery_before_answer: ["accusé avant la réponse", "L'accusé de réception arrive avant la réponse à l'envoi."],
    inbound_duplicate: ["SMS entrant en double", "Ce que le client écrit nous est remis deux fois, sous le même numéro."],
    inbound_new_id: ["SMS entrant, autre numéro", "Ce que le client écrit nous est remis encore une fois, sous un autre numéro."],
    inbound_late: ["SMS entrant en retard", "Ce que le client écrit est resté longtemps chez l'opérateur : sa date le dit."],
    ussd_duplicate: ["USSD en double", "Chaque touche du client nous arrive deux fois."],
    mail_refused: ["courriel refusé", "Le serveur dit que cette boîte n'existe pas."],
    mail_later: ["courriel reporté", "Le serveur demande de revenir plus tard."],
    mail_slow: ["serveur de courriel lent", "Le serveur prend le courriel et répond tard."],
    mail_lost_answer: ["réponse du courriel perdue", "Le serveur prend le courriel, puis coupe la ligne."],
    mail_bounced: ["courriel renvoyé", "Le serveur prend le courriel, puis annonce qu'il n'est pas arrivé."],
    ussd_no_end: ["fin non annoncée", "Personne ne nous dit que l'appel est fini."],
    drop: ["messages perdus", "La radio perd ce que le compteur et nous nous disons."],
    duplicate: ["messages en double", "La radio dit tout deux fois."],
    delay: ["messages en retard", "La radio garde les messages un moment."],
    replay: ["vieux messages rejoués", "La radio redit un ancien message."],
  },
  en: {
    sms_refused: ["SMS refused", "The aggregator refuses the SMS."],
    sms_slow: ["slow SMS", "The SMS leaves, the answer takes its time."],
    sms_lost_answer: ["SMS left, answer lost", "The SMS leaves and arrives, but the line is cut without an answer."],
    delivery_lost: ["report lost", "The SMS arrives, its delivery report never does."],
    delivery_failed: ["SMS not delivered", "The SMS does not arrive, and the report says so."],
    delivery_before_answer: ["report before the answer", "The delivery report comes before the answer to the sending."],
    inbound_duplicate: ["incoming SMS twice", "What the customer writes is handed in twice, under the same id."],
    inbound_new_id: ["incoming SMS, another id", "What the customer writes is handed in once more, under another id."],
    inbound_late: ["incoming SMS late", "What the customer writes has lain at the operator for long: its date says so."],
    ussd_duplicate: ["USSD twice", "Every key of the customer reaches us twice."],
    mail_refused: ["e-mail refused", "The server says that there is no such mailbox."],
    mail_later: ["e-mail put off", "The server asks to come again later."],
    mail_slow: ["slow mail server", "The server takes the e-mail on and answers late."],
    mail_lost_answer: ["e-mail's answer lost", "The server takes the e-mail on, then cuts the line."],
    mail_bounced: ["e-mail sent back", "The server takes the e-mail on, and reports later that it did not arrive."],
    ussd_no_end: ["end not told", "Nobody tells us that the call is over."],
    drop: ["messages lost", "The radio loses what the meter and we say to each other."],
    duplicate: ["messages doubled", "The radio says everything twice."],
    delay: ["messages late", "The radio keeps messages for a while."],
    replay: ["old messages replayed", "The radio says an old message again."],
  },
};

function words(language, fault) {
  return WALLET[language]?.[fault] ?? OTHERS[language]?.[fault];
}

/** The short name; an unknown fault shows itself. */
export function nameOf(language, fault) {
  return words(language, fault)?.[0] ?? fault.replaceAll("_", " ");
}

/** One sentence on what happens; nothing for an unknown fault. */
export function sentenceOf(language, fault) {
  return words(language, fault)?.[1] ?? "";
}
