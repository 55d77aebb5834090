"""The script of a stream's page.

It requests the page's endpoint once in each second of simulated time, never while an answer is outstanding,
and writes the newest report into the labels. A socket announces each second, so the page follows simulated
time at any speed, and simulated time waits for a browser that is late. A page that contains its own reports
(`#stream-reports`) requests nothing.
"""

SCRIPT = """\
(function () {
  "use strict";
  var props = JSON.parse(document.getElementById("__NEXT_DATA__").textContent).props.pageProps;
  var url = "/api/live-data-engine-stream-data?feedId=" + props.streamData.streamMetadata.feedId +
    "&abiIndex=0&queryWindow=1m";
  var carried = document.getElementById("stream-reports");
  var busy = false;

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

  function ask() {
    if (busy) { return; }
    busy = true;
    fetch(url).then(function (answer) {
      if (!answer.ok) { throw new Error("status " + answer.status); }
      return answer.json();
    }).then(function (document) {
      showNewest(document.data.allStreamValuesGenerics.nodes);
    }).catch(function () {}).then(function () { busy = false; seconds.send("shown"); });
  }

  function step(reports, elapsed) {
    var last = null;
    reports.forEach(function (each) { if (each[0] <= elapsed) { last = each; } });
    if (last) { show(last[1], { benchmark: last[2], bid: last[3], ask: last[4] }); }
    seconds.send("shown");
  }

  var reports = carried ? JSON.parse(carried.textContent) : null, loaded = null;
  var seconds = new WebSocket("ws://" + location.host + "/_seconds");
  seconds.onmessage = function (message) {
    var now = Number(message.data);
    if (loaded === null) { loaded = now; }
    if (reports) { step(reports, now - loaded); } else { ask(); }
  };
})();
"""
