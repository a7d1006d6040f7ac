// What a view shows while it has nothing to show, or cannot: each says what to do.

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { says } from "../server";
import { Button } from "./button";
import { Icon, type IconName } from "./icon";

/** Nothing is there yet. children: what to do about it. */
export function Empty({ title, icon, children }: { title: string; icon?: IconName; children?: ComponentChildren }) {
  return (
    <div class="state">
      {icon && <Icon name={icon} />}
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** Something could not be shown, and why. */
export function Failed({ title, error, again }: { title: string; error: unknown; again?: () => void }) {
  return (
    <div class="state failed" role="alert">
      <Icon name="warning" />
      <h2>{title}</h2>
      <p>{says(error)}</p>
      {again && (
        <Button icon="refresh" onClick={again}>
          Try again
        </Button>
      )}
    </div>
  );
}

const SHOWN_AFTER_MS = 150;

/** Something is on its way; shown only where that takes a moment. */
export function Loading({ label = "Loading" }: { label?: string }) {
  const [shown, setShown] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setShown(true), SHOWN_AFTER_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div class={`loading ${shown ? "shown" : ""}`} role="status" aria-label={label}>
      <i />
      <i />
      <i />
    </div>
  );
}
