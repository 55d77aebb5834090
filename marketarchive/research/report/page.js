// Draws the charts out of the documents in this page. Nothing is fetched.
"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const options = { actions: false, renderer: "svg" };
  const NARROW = 700; // px: below, panels stand below one another
  const LEAST = 120; // px: of a panel

  // a copy of a chart with each object changed
  function mapped(part, change) {
    if (Array.isArray(part)) return part.map((each) => mapped(each, change));
    if (part === null || typeof part !== "object") return part;
    return change(Object.fromEntries(Object.entries(part).map(
      ([name, value]) => [name, name === "values" || name === "datasets" ? value : mapped(value, change)],
    )));
  }

  function stacked({ hconcat, ...part }) {
    if (hconcat) part.vconcat = hconcat;
    if (part.columns) part.columns = 1;
    if (part.labelLimit) part.labelLimit = 110;
    if (part.legend) part.legend = { ...part.legend, columns: 2 };
    return part;
  }

  // draws a chart no wider than its place: axes and names keep their size, panels become narrower
  async function embed(id, spec) {
    const place = document.getElementById(id), room = place.clientWidth;
    const chart = room < NARROW ? mapped(spec, stacked) : spec;
    await vegaEmbed(place, chart, options);
    const over = place.querySelector("svg").getBoundingClientRect().width - room;
    if (over > 0) {
      const narrower = (part) => (typeof part.width === "number" ? { ...part, width: Math.max(LEAST, part.width - over) } : part);
      await vegaEmbed(place, mapped(chart, narrower), options);
    }
  }

  const charts = read("charts");
  const drawAll = () => Object.entries(charts).map(([id, chart]) => embed(id, chart));
  const drawn = drawAll();

  const rounds = read("rounds");
  const spec = read("round-chart");
  const assetList = document.getElementById("round-asset");
  const roundList = document.getElementById("round-market");
  const STATES = { o: "observed", q: "quiet", c: "carried", n: "nothing" };
  const clock = (ms) => new Date(ms).toISOString().slice(11, 19);
  const day = (ms) => new Date(ms).toISOString().slice(0, 10);

  const at = (round, place) => Math.min(round.from + place * round.step, round.until) * 1000;

  function points(round) {
    const value = (given, place) => (given === null || given[place] === null ? null : round.base + given[place] / round.scale);
    return round.price.map((_, place) => {
      const seen = STATES[round.seen[place]], books = STATES[round.books[place]];
      const price = value(round.price, place);
      const up = round.up[place] === null ? null : round.up[place] / 10000;
      const x = at(round, place);
      return {
        x, at: clock(x), price, up, mean: value(round.mean, place), price_state: seen, up_state: books,
        price_observed: seen === "observed" ? price : null,
        up_observed: books === "observed" || books === "quiet" ? up : null,
      };
    });
  }

  function strips(round) {
    const found = [];
    for (const [stream, states] of [["price", round.seen], ["books", round.books]]) {
      for (let first = 0; first < states.length; ) {
        let last = first;
        while (last + 1 < states.length && states[last + 1] === states[first]) last += 1;
        const x = at(round, Math.max(0, first - 1)), x2 = at(round, last);
        if (x2 > x) found.push({ stream, state: STATES[states[first]], x, x2, from: clock(x), to: clock(x2) });
        first = last + 1;
      }
    }
    return found;
  }

  function levels(round) {
    const written = (value) => value.toLocaleString("en-US", { maximumSignificantDigits: 9 });
    const told = [["K", round.strike, round.settlement], ["settlement", round.settlement, round.strike]];
    return told.filter(([, value]) => value !== null).map(([name, value, other]) => {
      const isAbove = value > other || (value === other && name === "K");
      return {
        name, value, until: round.until * 1000, text: `${name} ${written(value)}`,
        shift: other === null ? 0 : isAbove ? -6 : 6,
      };
    });
  }

  // a little more than all that is drawn
  function bounds(drawn, lines) {
    const values = [...drawn.flatMap((each) => [each.price, each.mean]), ...lines.map((each) => each.value)].filter((each) => each !== null);
    const low = values.length ? Math.min(...values) : 0, high = values.length ? Math.max(...values) : 1;
    const room = (high - low) * 0.06 || high * 0.001;
    return [low - room, high + room];
  }

  function title(round) {
    const outcome = round.computed === null ? "outcome not computed" : `ends ${round.computed}`;
    const official = round.official === null ? "not resolved yet" : `official ${round.official}`;
    const span = `${day(round.from * 1000)} ${clock(round.from * 1000).slice(0, 5)}–${clock(round.until * 1000).slice(0, 5)} UTC`;
    return `${round.asset} ${round.duration} ${span}: ${outcome}, ${official}; ${round.verdict.replace("_", " ")}`;
  }

  let turn = Promise.resolve();
  function draw() {
    const round = rounds.find((each) => each.id === roundList.value);
    const place = roundList.selectedIndex;
    document.getElementById("round-before").disabled = place <= 0;
    document.getElementById("round-after").disabled = place >= roundList.length - 1;
    document.getElementById("round-title").textContent = title(round);
    document.getElementById("round-note").textContent =
      `${round.id}. Rule: ${round.rule}. ${round.reason ? `${round.reason}. ` : ""}` +
      (round.step === 1 ? "Every second is drawn." : `One second in ${round.step} is drawn.`);
    const gaps = round.gaps.map(([stream, reason, x, x2]) => ({ stream, reason, x, x2, from: clock(x), to: clock(x2) }));
    const ends = round.settlement === null ? [] : [{ x: round.until * 1000, settlement: round.settlement }];
    const datasets = { points: points(round), strips: strips(round), gaps, levels: levels(round), ends };
    const [low, high] = bounds(datasets.points, datasets.levels);
    const narrow = document.getElementById("round").clientWidth < NARROW;
    const values = { from: round.from * 1000, until: round.until * 1000, low, high, narrow };
    const params = Object.entries(values).map(([name, value]) => ({ name, value }));
    turn = turn.then(() => embed("round", { ...spec, params, datasets }));
    return turn;
  }

  // a round that was seen whole tells more than one that the recording cut; of equal ones a proven, a new one
  function best(some) {
    const rank = (each) => each.observed_share + (each.verdict === "reproduced" ? 1e-6 : 0);
    return some.reduce((found, each) => (rank(each) >= rank(found) ? each : found));
  }

  function listRounds() {
    const of = rounds.filter((each) => each.asset === assetList.value);
    roundList.replaceChildren(...of.map((each) => {
      const from = each.from * 1000;
      return new Option(`${day(from)} ${clock(from).slice(0, 5)} · ${each.duration} · ${each.verdict.replace("_", " ")}`, each.id);
    }));
    roundList.selectedIndex = of.indexOf(best(of));
    return draw();
  }

  function move(by) {
    roundList.selectedIndex += by;
    draw();
  }

  if (rounds.length) {
    for (const asset of new Set(rounds.map((each) => each.asset))) assetList.add(new Option(asset, asset));
    assetList.value = best(rounds).asset;
    assetList.addEventListener("change", listRounds);
    roundList.addEventListener("change", draw);
    document.getElementById("round-before").addEventListener("click", () => move(-1));
    document.getElementById("round-after").addEventListener("click", () => move(1));
    drawn.push(listRounds());
  }
  let width = window.innerWidth, waiting;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(() => { drawAll(); if (rounds.length) draw(); }, 200);
  });
  Promise.all(drawn).then(() => { document.body.dataset.drawn = "yes"; });
})();
