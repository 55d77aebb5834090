"""The script of a stream page.

It asks the page's endpoint once in a second of simulated time, never while an answer is outstanding, and
writes the newest report into the labels. With each request it says when it means to ask again, and takes the
time and its speed from the answer: so simulated time waits for a browser that is late. Where the page carries
its reports itself (`#stream-reports`) it asks for nothing but the time.
"""

from marketarchive.simulator.messages import PAGE_DUE, PAGE_NAME, SIMULATED_TIME

_SCRIPT = """\
(function () {
  "use strict";
  var props = JSON.parse(document.getElementById("__NEXT_DATA__").textContent).props.pageProps;
  var url = "/api/live-data-engine-stream-data?feedId=" + props.streamData.streamMetadata.feedId +
    "&abiIndex=0&queryWindow=1m";
  var carried = document.getElementById("stream-reports");
  var name = String(Math.random());

  function write(name, text) {
    document.querySelectorAll("[data-value=" + name + "]").forEach(function (each) {
      each.textContent = text;
    });
  }

  function dollars(text) {
    var value = Number(text), digits = value >= 100 ? 2 : 4;
    return "$" + value.toLocaleString("en-US",
      { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }

  function clockTime(text) {
    return new Date(text).toLocaleString("en-US", { year: "numeric", month: "short", day: "numeric",
      hour: "numeric", minute: "2-digit", second: "2-digit" }).replace(/, (?=[0-9]+:)/, " ");
  }

  function show(at, values) {
    ["benchmark", "bid", "ask"].forEach(function (name) {
      if (values[name] !== undefined) { write(name, dollars(values[name])); }
    });
    write("time", clockTime(at));
  }

  function showNewest(nodes) {
    var newest = "", values = {};
    nodes.forEach(function (node) {
      if (node.validAfterTs > newest) { newest = node.validAfterTs; values = {}; }
      if (node.validAfterTs === newest) { values[node.attributeName] = node.valueNumeric; }
    });
    if (newest) { show(newest, values); }
  }

  // {now: simulated ms, speed: simulated ms a ms} of an answer
  function timeOf(answer) {
    var parts = answer.headers.get("%(time)s").split(" ");
    return { now: Number(parts[0]), speed: Number(parts[1]) };
  }

  function request(path, due) {
    return fetch(path, { headers: { "%(name)s": name, "%(due)s": String(due) } });
  }

  function ask(due) {
    return request(url, due).then(function (answer) {
      var time = timeOf(answer);
      if (!answer.ok) { return time; }
      return answer.json().then(function (document) {
        showNewest(document.data.allStreamValuesGenerics.nodes);
        return time;
      });
    });
  }

  function show_carried(reports, elapsed) {
    var last = null;
    reports.forEach(function (each) { if (each[0] <= elapsed) { last = each; } });
    if (last) { show(last[1], { benchmark: last[2], bid: last[3], ask: last[4] }); }
  }

  function second(ms) { return (Math.floor(ms / 1000) + 1) * 1000; }

  // act at every second of simulated time; `act` resolves to the time, or fails
  function every(start, act) {
    var known = start, since = performance.now();
    function tick() {
      var now = known.now + (performance.now() - since) * known.speed;
      act(second(now)).then(function (time) { known = time; since = performance.now(); }, function () {})
        .then(function () {
          var reached = known.now + (performance.now() - since) * known.speed;
          setTimeout(tick, Math.max(5, (second(reached) - reached) / known.speed));
        });
    }
    tick();
  }

  request("/_clock", "").then(timeOf).then(function (start) {
    if (!carried) { every(start, ask); return; }
    var reports = JSON.parse(carried.textContent);
    every(start, function (due) {
      return request("/_clock", due).then(timeOf).then(function (time) {
        show_carried(reports, time.now - start.now);
        return time;
      });
    });
  });
})();
"""

SCRIPT = _SCRIPT % {"name": PAGE_NAME, "due": PAGE_DUE, "time": SIMULATED_TIME}
