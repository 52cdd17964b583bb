// How long a screen is on the air: GSM-7 septets, two for the characters of the extension table (3GPP TS 23.038).

const BASIC = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const EXTENDED = "^{}\\[~]|€\f";

/** Septets of a text; null when a character is not in the alphabet and the whole screen would go as UCS-2. */
export function septets(text) {
  let total = 0;
  for (const character of text) {
    if (BASIC.includes(character)) total += 1;
    else if (EXTENDED.includes(character)) total += 2;
    else return null;
  }
  return total;
}
