"use strict";
// The enlarged view: left and right go along a row, up and down keep the column, so that two images can be flicked.
const rows = [...document.querySelectorAll(".row")].map((row) => [...row.querySelectorAll("figure")]);
const [viewer, over, under] = ["viewer", "over", "under"].map((id) => document.getElementById(id));
const stage = under.parentElement;
const slide = document.getElementById("slide");
let at = [0, 0];
let sliding = false;

const imageOf = (figure) => figure && figure.querySelector("img");
const roleOf = (figure) => figure.querySelector(".shot").dataset.role;
const teacherOf = (row) => row.find((figure) => imageOf(figure) && roleOf(figure) === "teacher");

function fit(image) {
  const [w, h] = [image.naturalWidth, image.naturalHeight];
  const scale = Math.min((innerWidth - 40) / w, (innerHeight - 150) / h);
  // Whole multiples keep the pixels of small images square.
  const whole = scale > 2 && w < 160 ? Math.floor(scale) : Math.min(scale, 4);
  stage.classList.toggle("pixels", w < 160);
  for (const one of [over, under]) {
    one.style.width = `${w * whole}px`;
    one.style.height = `${h * whole}px`;
  }
}

function show() {
  const row = rows[at[0]];
  const figure = row[at[1]];
  const teacher = teacherOf(row);
  const comparable = Boolean(teacher) && teacher !== figure;
  under.src = imageOf(figure).src;
  under.alt = imageOf(figure).alt;
  if (comparable) over.src = imageOf(teacher).src;
  slide.hidden = !comparable;
  slide.setAttribute("aria-pressed", String(sliding && comparable));
  stage.classList.toggle("sliding", sliding && comparable);
  const name = figure.querySelector("figcaption").textContent;
  document.getElementById("what").textContent = sliding && comparable ? `teacher | ${name}` : name;
  document.getElementById("where").textContent = `row ${at[0] + 1} of ${rows.length}`;
  fit(imageOf(figure));
}

function go(down, right) {
  let [r, c] = at;
  do {
    r += down;
    c += right;
    if (r < 0 || r >= rows.length || c < 0 || c >= rows[r].length) return;
  } while (!imageOf(rows[r][c]));
  at = [r, c];
  show();
}

const actions = {
  left: () => go(0, -1),
  right: () => go(0, 1),
  up: () => go(-1, 0),
  down: () => go(1, 0),
  slide: () => { sliding = !sliding; show(); },
  close: () => viewer.close(),
};

rows.forEach((row, r) => row.forEach((figure, c) => {
  const shot = figure.querySelector(".shot");
  if (shot) shot.addEventListener("click", () => { at = [r, c]; viewer.showModal(); show(); });
}));
viewer.addEventListener("click", (event) => {
  const action = event.target.dataset.go;
  if (action) actions[action]();
  else if (event.target === viewer) viewer.close();
});
viewer.addEventListener("keydown", (event) => {
  const action = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", s: "slide" }[event.key];
  if (!action || (action === "slide" && slide.hidden)) return;
  event.preventDefault();
  actions[action]();
});
stage.addEventListener("pointermove", (event) => {
  const box = stage.getBoundingClientRect();
  stage.style.setProperty("--at", `${Math.min(100, Math.max(0, (100 * (event.clientX - box.left)) / box.width))}%`);
});
addEventListener("resize", () => viewer.open && show());
