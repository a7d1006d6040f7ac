// The frame around every view: where to go, how the server stands, the theme, and search over everything.

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Palette } from "./palette/palette";
import { href, route } from "./router";
import { Standing } from "./standing";
import { toggleTheme } from "./theme";
import { IconButton } from "./ui/button";
import type { IconName } from "./ui/icon";
import { Icon } from "./ui/icon";
import { Empty, Failed, Loading } from "./ui/states";
import { Toasts } from "./ui/toast";
import { viewOf } from "./views";

const PLACES: readonly { name: string; label: string; icon: IconName; views: readonly string[] }[] = [
  { name: "", label: "Experiments", icon: "chart", views: ["", "experiments", "runs", "compare"] },
  { name: "models", label: "Models", icon: "box", views: ["models", "lineage"] },
  { name: "endpoints", label: "Endpoints", icon: "bolt", views: ["endpoints"] },
  { name: "system", label: "System", icon: "pulse", views: ["system"] },
];

const version = document.querySelector<HTMLMetaElement>("meta[name=headrace-version]")?.content ?? "";

export function App() {
  const view = viewOf(route.value.path);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.getElementById("main")?.focus())}>
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href={href([])} aria-label="Headrace, all experiments" title={`Headrace ${version}`}>
          <img src={new URL("./logo.svg", import.meta.url).href} width="24" height="24" alt="" />
          <span>Headrace</span>
        </a>
        <nav aria-label="Main">
          {PLACES.map(({ name, label, icon, views }) => (
            <a key={name} href={href(name ? [name] : [])} aria-current={view && views.includes(view.name) ? "page" : undefined}>
              <Icon name={icon} />
              <span>{label}</span>
            </a>
          ))}
        </nav>
        <span class="grow" />
        <Palette />
        <Standing />
        <a class="api-link" href="/docs">
          API
        </a>
        <IconButton icon="moon" label="Change colour theme" onClick={toggleTheme} />
      </header>
      <main id="main" tabIndex={-1}>
        {view ? <View key={view.name} {...view} /> : <Empty title="There is no such page" icon="search"><p><a href={href([])}>All experiments</a></p></Empty>}
      </main>
      <Toasts />
    </>
  );
}

/** A view once its code is here. */
function View({ name, load }: { name: string; load: () => Promise<{ default: ComponentType }> }) {
  const [state, setState] = useState<{ Page?: ComponentType; error?: unknown }>({});
  const begin = () => {
    setState({});
    load().then(
      ({ default: Page }) => setState({ Page }),
      (error: unknown) => setState({ error }),
    );
  };
  useEffect(begin, [name]);
  if (state.error) return <Failed title="This page could not be loaded" error={state.error} again={() => location.reload()} />;
  return state.Page ? <state.Page /> : <Loading />;
}
