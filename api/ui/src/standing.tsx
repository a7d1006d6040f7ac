// Whether what is shown is current: how the live feed stands.

import { standing } from "./feed";

/** So many events the views may be behind the log before the page says so: less is gone within a moment. */
const BEHIND_SHOWN = 1000;

export function Standing() {
  const { state, behind, fault } = standing.value;
  const events = `${behind.toLocaleString("en-US")} event${behind === 1 ? "" : "s"} behind`;
  const [shown, text, title] =
    state === "lost"
      ? ["lost", "Reconnecting", "The server does not answer; what is shown may be old"]
      : fault
        ? ["behind", events, `Nothing is lost, but what is shown is old: ${fault}`]
        : behind > BEHIND_SHOWN
          ? ["behind", events, "The log has more than the views hold yet; they are catching up"]
          : state === "live"
            ? ["live", "Live", "Changes are shown as they are logged"]
            : ["connecting", "Connecting", "The live feed has not begun yet"];
  return (
    <span id="live" class="live" data-state={shown} role="status" title={title}>
      <i aria-hidden="true" />
      <span>{text}</span>
    </span>
  );
}
