// Replaces the session part every two seconds while a session is alive, and tells a change of state once to those who
// cannot see it.
const session = document.getElementById("session");
const news = document.getElementById("news");
const state = () => session.querySelector("[data-state]")?.dataset.state;

async function turn() {
  const before = state();
  if (before !== "alive") return;
  try {
    const answer = await fetch("/victim/status", { cache: "no-store" });
    if (answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      session.replaceChildren(...page.body.childNodes);
    }
  } catch {
    // The simulator may be restarting; the next turn tries again.
  }
  if (state() !== before) {
    news.textContent = session.querySelector("h1").textContent;
    document.title = news.textContent;
  }
  setTimeout(turn, 2000);
}
setTimeout(turn, 2000);
