// Refreshes the figures of a page by themselves: fetches the page again and swaps the
// parts marked data-live. Pauses while the page is hidden; stops when the session ends.
(function () {
  "use strict";
  var PERIOD_MS = 7000;
  var MAX_WAIT_MS = 60000;
  var wait = PERIOD_MS;
  var timer = null;
  var busy = false;
  var state = document.getElementById("live-state");
  var parts = document.querySelectorAll("[data-live]");
  if (!state || !window.fetch || !document.querySelector("main [data-live]")) {
    return;
  }

  function say(words) {
    if (state.textContent !== words) {
      state.textContent = words;
    }
    state.hidden = false;
  }

  function swap(old, fresh) {
    if (old.innerHTML === fresh.innerHTML || old.contains(document.activeElement)) {
      return;
    }
    var selection = window.getSelection();
    if (selection && !selection.isCollapsed && old.contains(selection.anchorNode)) {
      return;
    }
    var open = [];
    old.querySelectorAll("details").forEach(function (item) {
      open.push(item.open);
    });
    var scrolled = [];
    old.querySelectorAll(".app-scroll").forEach(function (item) {
      scrolled.push([item.scrollLeft, item.scrollTop]);
    });
    old.innerHTML = fresh.innerHTML;
    old.querySelectorAll("details").forEach(function (item, index) {
      item.open = Boolean(open[index]);
    });
    old.querySelectorAll(".app-scroll").forEach(function (item, index) {
      if (scrolled[index]) {
        item.scrollLeft = scrolled[index][0];
        item.scrollTop = scrolled[index][1];
      }
    });
  }

  function apply(html) {
    var page = new DOMParser().parseFromString(html, "text/html");
    parts.forEach(function (old) {
      var fresh = page.querySelector('[data-live="' + old.getAttribute("data-live") + '"]');
      if (fresh) {
        swap(old, fresh);
      }
    });
    var tiles = page.querySelectorAll(".app-tile");
    document.querySelectorAll(".app-tile").forEach(function (tile, index) {
      if (tiles[index]) {
        tile.className = tiles[index].className;
      }
    });
  }

  function plan(delay) {
    window.clearTimeout(timer);
    timer = window.setTimeout(refresh, delay);
  }

  function refresh() {
    if (document.hidden || busy) {
      return;
    }
    busy = true;
    fetch(window.location.href, {
      headers: { "X-Hearth-Live": "1" },
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error"
    })
      .then(function (answer) {
        if (answer.status === 401) {
          say("You have been signed out. Load the page again to sign in.");
          return null;
        }
        if (!answer.ok) {
          throw new Error(String(answer.status));
        }
        return answer.text();
      })
      .then(function (html) {
        busy = false;
        if (html === null) {
          return;
        }
        apply(html);
        wait = PERIOD_MS;
        say("Figures refresh by themselves.");
        plan(wait);
      })
      .catch(function () {
        busy = false;
        wait = Math.min(wait * 2, MAX_WAIT_MS);
        say("Figures could not be refreshed; trying again.");
        plan(wait);
      });
  }

  document.addEventListener("visibilitychange", function () {
    if (document.hidden) {
      window.clearTimeout(timer);
    } else {
      plan(0);
    }
  });
  say("Figures refresh by themselves.");
  plan(PERIOD_MS);
})();
