"use strict";
// Texts from data become text nodes, never markup.
const rows = JSON.parse(document.getElementById("data").textContent);
const list = document.getElementById("examples");
const search = document.getElementById("search");
const chosen = document.getElementById("status");
const shown = document.getElementById("shown");

function element(name, kind, text) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

function told(list, name, text, kind) {
  if (text === null) return;
  list.append(element("dt", "", name), element("dd", kind, text));
}

function example(row) {
  const made = element("details", "example");
  // By characters: a slice of the string may end within one, in half of a surrogate pair.
  const brief = Array.from((row.answer ?? row.error ?? "").replace(/\s+/g, " ")).slice(0, 200).join("");
  const line = element("summary");
  line.append(element("bdi", "key", row.key), element("span", "chip " + row.status, row.status), element("span", "brief", brief));
  const facts = element("dl");
  for (const [name, value] of row.inputs) told(facts, name, value);
  told(facts, "answer", row.answer, "code");
  told(facts, "why there is none", row.error);
  told(facts, "raw text of the model", row.raw, "code");
  told(facts, "what it took", row.facts);
  made.append(line, facts);
  const text = [row.key, row.answer, row.error, row.raw, ...row.inputs.map((pair) => pair[1])];
  return { made, status: row.status, text: text.join("\n").toLowerCase() };
}

const examples = rows.map(example);
list.append(...examples.map((one) => one.made));

function filter() {
  const wanted = search.value.toLowerCase();
  let number = 0;
  for (const one of examples) {
    const fits = (!chosen.value || one.status === chosen.value) && one.text.includes(wanted);
    one.made.hidden = !fits;
    number += fits;
  }
  shown.value = number + " of " + examples.length + " rows";
}

search.addEventListener("input", filter);
chosen.addEventListener("change", filter);
search.form.addEventListener("submit", (event) => event.preventDefault());
filter();
