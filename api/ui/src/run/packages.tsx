// The packages that were installed where a run was trained.

import { useState } from "preact/hooks";
import { Copy } from "../ui/button";
import { Card } from "./overview";
import { Filter } from "./tables";

export function Packages({ text }: { text: string }) {
  const [open, setOpen] = useState(false);
  const [typed, setTyped] = useState("");
  const lines = text.split("\n").filter((line) => line && !line.startsWith("#"));
  const shown = lines.filter((line) => line.toLowerCase().includes(typed.toLowerCase().trim()));
  return (
    <Card title="Packages" count={lines.length} tools={<Copy text={text} label="Copy the packages as requirements.txt" />}>
      <details class="run-details" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>{open ? "Hide them" : "Show them"}</summary>
        {open && (
          <>
            <Filter label="Find packages" typed={typed} type={setTyped} />
            <ul class="scroll run-packages" aria-label="Packages" tabIndex={0}>
              {shown.map((line) => {
                const [name, version] = line.split("==");
                return (
                  <li key={line}>
                    <span>{name}</span>
                    <code>{version ?? ""}</code>
                  </li>
                );
              })}
            </ul>
          </>
        )}
      </details>
    </Card>
  );
}
