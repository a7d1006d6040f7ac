// Dialogs and menus: the browser's own, which keep the focus inside and close with Escape.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Button, IconButton } from "./button";
import { Icon, type IconName } from "./icon";

interface DialogProps {
  title: string;
  close: () => void;
  children?: ComponentChildren;
  /** Buttons at the foot. */
  actions?: ComponentChildren;
  wide?: boolean;
}

/** A modal dialog; there as long as it is rendered. */
export function Dialog({ title, close, children, actions, wide }: DialogProps) {
  const box = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    const dialog = box.current;
    dialog?.showModal();
    // Closing gives the focus back to what had it.
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={box}
      class={`dialog ${wide ? "wide" : ""}`}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onMouseDown={(event) => event.target === box.current && close()}
    >
      <div class="dialog-body">
        <header>
          <h2 id={id}>{title}</h2>
          <IconButton icon="close" label="Close" onClick={close} />
        </header>
        <div class="dialog-content">{children}</div>
        {actions && <footer>{actions}</footer>}
      </div>
    </dialog>
  );
}

export interface MenuItem {
  label: string;
  icon?: IconName | undefined;
  /** Undefined for a heading. */
  act?: (() => void) | undefined;
  checked?: boolean | undefined;
  danger?: boolean | undefined;
  disabled?: boolean | undefined;
}

interface MenuProps {
  label: string;
  items: readonly MenuItem[];
  icon?: IconName | undefined;
  /** Shown beside the icon; without it the button is an icon alone. */
  text?: string | undefined;
  small?: boolean | undefined;
}

/** The name of a button: what is read out has what is seen in it, so that who speaks to the page can say it. */
function named(label: string, text: string): string {
  const [said, seen] = [label.toLowerCase(), text.toLowerCase()];
  return said.includes(seen) ? label : seen.startsWith(said) ? text : `${label}: ${text}`;
}

/** A button that opens a menu; arrows move in it. */
export function Menu({ label, items, icon = "more", text, small }: MenuProps) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLSpanElement>(null);
  usePlaced(open, button, box, () => setOpen(false));
  const move = (event: KeyboardEvent) => {
    const entries = [...(box.current?.querySelectorAll<HTMLElement>("[role^=menuitem]:not([disabled])") ?? [])];
    const at = entries.indexOf(document.activeElement as HTMLElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1 + entries.length, Home: 0, End: entries.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    entries[next % entries.length]?.focus();
  };
  const opened = { "aria-haspopup": "menu" as const, "aria-expanded": open, onClick: () => setOpen(!open) };
  return (
    <span ref={button} class="menu">
      {text === undefined ? (
        <IconButton icon={icon} label={label} small={small ?? false} {...opened} />
      ) : (
        <Button icon={icon} aria-label={named(label, text)} {...opened}>
          {text}
        </Button>
      )}
      {open && (
        <div ref={box} class="menu-list" role="menu" aria-label={label} popover="manual" onKeyDown={move}>
          {items.map((item) =>
            item.act ? (
              <button
                key={item.label}
                type="button"
                role={item.checked === undefined ? "menuitem" : "menuitemcheckbox"}
                aria-checked={item.checked}
                class={item.danger ? "danger" : ""}
                disabled={item.disabled}
                onClick={() => {
                  setOpen(false);
                  item.act?.();
                }}
              >
                {item.checked !== undefined ? <span class="check">{item.checked && <Icon name="finished" />}</span> : item.icon && <Icon name={item.icon} />}
                {item.label}
              </button>
            ) : (
              <span key={item.label} class="menu-heading">
                {item.label}
              </span>
            ),
          )}
        </div>
      )}
    </span>
  );
}

/** Shows a popover below what opened it, within the window; closes it with Escape, or when something else is used. */
export function usePlaced(open: boolean, anchor: { current: HTMLElement | null }, box: { current: HTMLElement | null }, close: () => void): void {
  useLayoutEffect(() => {
    const list = box.current;
    const place = anchor.current?.getBoundingClientRect();
    if (!open || !list || !place) return;
    list.showPopover();
    const { width, height } = list.getBoundingClientRect();
    const below = place.bottom + 4 + height <= innerHeight || place.top < height;
    list.style.left = `${Math.max(8, Math.min(place.left, innerWidth - width - 8))}px`;
    list.style.top = `${Math.max(8, below ? Math.min(place.bottom + 4, innerHeight - height - 8) : place.top - height - 4)}px`;
    list.querySelector<HTMLElement>("input, [role^=menuitem], button, select, textarea")?.focus();
  }, [open]);
  useEffect(() => {
    if (!open) return;
    const key = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      close();
      anchor.current?.querySelector("button")?.focus();
    };
    const away = (event: Event) => {
      const target = event.target as Node;
      if (!box.current?.contains(target) && !anchor.current?.contains(target)) close();
    };
    document.addEventListener("keydown", key, true);
    document.addEventListener("mousedown", away);
    document.addEventListener("focusin", away);
    return () => {
      document.removeEventListener("keydown", key, true);
      document.removeEventListener("mousedown", away);
      document.removeEventListener("focusin", away);
    };
  }, [open]);
}

/** A button that opens a box of anything: choices, a form. children: given how to close it. */
export function Popover({ label, icon, text, class: more, children }: { label: string; icon?: IconName; text?: string; class?: string; children: (close: () => void) => ComponentChildren }) {
  const [open, setOpen] = useState(false);
  const anchor = useRef<HTMLSpanElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const close = () => setOpen(false);
  usePlaced(open, anchor, box, close);
  const opened = { "aria-haspopup": "dialog" as const, "aria-expanded": open, onClick: () => setOpen(!open) };
  return (
    <span ref={anchor} class="menu">
      {text === undefined ? (
        <IconButton icon={icon ?? "settings"} label={label} {...opened} />
      ) : (
        <Button icon={icon} aria-label={named(label, text)} {...opened}>
          {text}
        </Button>
      )}
      {open && (
        <div ref={box} class={`popover ${more ?? ""}`} role="dialog" aria-label={label} popover="manual">
          {children(close)}
        </div>
      )}
    </span>
  );
}
