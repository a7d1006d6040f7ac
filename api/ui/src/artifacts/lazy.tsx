// A component whose code is loaded when it is first shown.

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Failed, Loading } from "../ui/states";

export function lazyView<P extends object>(load: () => Promise<{ default: ComponentType<P> }>): ComponentType<P> {
  let known: ComponentType<P> | undefined;
  return function Lazy(props: P) {
    const [View, setView] = useState(() => known);
    const [error, setError] = useState<unknown>();
    useEffect(() => {
      if (known) return;
      load().then(
        (module) => {
          known = module.default;
          setView(() => known);
        },
        (error: unknown) => setError(error),
      );
    }, []);
    if (error) return <Failed title="This could not be loaded" error={error} again={() => location.reload()} />;
    return View ? <View {...props} /> : <Loading />;
  };
}
