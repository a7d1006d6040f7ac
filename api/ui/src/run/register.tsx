// How a logged model becomes a version of a registered model.

import { useState } from "preact/hooks";
import { useLoaded } from "../loaded";
import { navigate } from "../router";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { done } from "./actions";
import { type LoggedModel, type Run, register, registeredNames } from "./data";
import { useFocus } from "./following";

export function Register({ run, model, close }: { run: Run; model: LoggedModel; close: () => void }) {
  const [name, setName] = useState("");
  const [busy, setBusy] = useState(false);
  const box = useFocus<HTMLInputElement>();
  const typed = name.trim();
  const known = useLoaded((signal) => registeredNames(typed, { signal }), [typed]);
  const fresh = known.value !== undefined && typed !== "" && !known.value.includes(typed);
  const save = async (event: Event) => {
    event.preventDefault();
    if (!typed || busy) return;
    setBusy(true);
    const made = register(run.info.run_id, model.model_id, typed, !known.value?.includes(typed)).then((version) => navigate(["models", version.name, "versions", version.version]));
    if (!(await done(made, `${typed} has a new version`, close))) setBusy(false);
  };
  return (
    <Dialog title={`Register ${model.name ?? model.model_id}`} close={close} actions={<Button kind="primary" onClick={save} disabled={!typed || busy}>Register</Button>}>
      <form onSubmit={save}>
        <label class="field">
          <span>Name of the registered model</span>
          <input ref={box} class="input" list="run-registered" value={name} maxLength={256} onInput={(event) => setName(event.currentTarget.value)} autocomplete="off" />
        </label>
        <datalist id="run-registered">
          {known.value?.map((one) => <option key={one} value={one} />)}
        </datalist>
        <p class="quiet">{fresh ? "A new registered model, with this as version 1." : "It becomes the next version of the model with this name."}</p>
      </form>
    </Dialog>
  );
}
