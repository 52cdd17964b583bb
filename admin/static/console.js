// A convenience only; every page works without it. "/" puts the cursor into the search field.
document.addEventListener("keydown", (event) => {
  const field = document.getElementById("q");
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
  if (event.key === "/" && field && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    field.focus();
    field.select();
  }
});
