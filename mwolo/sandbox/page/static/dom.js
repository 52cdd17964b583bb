// Elements without markup strings: what the system says can never become markup.

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** The elements of a template's copy that carry data-part, by that name. */
export function partsOf(root) {
  const parts = {};
  for (const element of root.querySelectorAll("[data-part]")) parts[element.dataset.part] = element;
  return parts;
}

/** Play a short animation by class, again even when it is still running. */
export function animate(element, name) {
  element.classList.remove(name);
  void element.offsetWidth; // restarts the animation
  element.classList.add(name);
  element.addEventListener("animationend", () => element.classList.remove(name), { once: true });
}

export function remember(key, value) {
  try {
    localStorage.setItem(`mwolo.${key}`, JSON.stringify(value));
  } catch {
    // A browser that keeps nothing starts fresh each time.
  }
}

export function recall(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`mwolo.${key}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}
