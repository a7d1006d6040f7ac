// The keyboard shortcuts of what is shown now.

import { Dialog } from "../ui/dialog";
import { groups } from "./shortcuts";

const ALWAYS = [
  { keys: "Ctrl K", label: "Search everything" },
  { keys: "Tab", label: "Go on to the next control" },
  { keys: "Esc", label: "Close a dialog or menu" },
];

export function Help({ close }: { close: () => void }) {
  return (
    <Dialog title="Keyboard shortcuts" close={close}>
      {groups.value.map(({ title, shortcuts }) => (
        <section key={title} class="shortcuts">
          <h3>{title}</h3>
          <dl>
            {[...(title === "Everywhere" ? ALWAYS : []), ...shortcuts].map(({ keys, label }) => (
              <div key={label}>
                <dt>{label}</dt>
                <dd>
                  {keys.split(" ").map((key) => (
                    <kbd key={key}>{key}</kbd>
                  ))}
                </dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
    </Dialog>
  );
}
