// Buttons and what is copied by one.

import type { ButtonHTMLAttributes, ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Icon, type IconName } from "./icon";

type Attributes = Omit<ButtonHTMLAttributes<HTMLButtonElement>, "icon" | "label" | "disabled">;

interface ButtonProps extends Attributes {
  icon?: IconName | undefined;
  kind?: "plain" | "primary" | "danger" | "quiet";
  disabled?: boolean | undefined;
  children?: ComponentChildren;
}

export function Button({ icon, kind = "plain", children, class: more, ...rest }: ButtonProps) {
  return (
    <button type="button" class={`button ${kind} ${more ?? ""}`} {...rest}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

interface IconButtonProps extends Attributes {
  icon: IconName;
  /** What it does: read out, and shown when the pointer rests on it. */
  label: string;
  small?: boolean;
  disabled?: boolean | undefined;
}

export function IconButton({ icon, label, small, class: more, ...rest }: IconButtonProps) {
  return (
    <button type="button" class={`icon-button ${small ? "small" : ""} ${more ?? ""}`} aria-label={label} title={label} {...rest}>
      <Icon name={icon} />
    </button>
  );
}

/** A button that copies a text. */
export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return <IconButton small icon={copied ? "finished" : "copy"} label={copied ? "Copied" : label} onClick={copy} />;
}
