// Which experiments the workspace shows: one, or several together.

import { useState } from "preact/hooks";
import { useLoaded } from "../loaded";
import { navigate, route } from "../router";
import { Popover } from "../ui/dialog";
import { searchExperiments } from "./bulk";

export function Experiments({ chosen }: { chosen: readonly string[] }) {
  return (
    <Popover label="Experiments shown" icon="plus" class="runs-picker">
      {() => <Choice chosen={chosen} />}
    </Popover>
  );
}

function Choice({ chosen }: { chosen: readonly string[] }) {
  const [search, setSearch] = useState("");
  const { value = [] } = useLoaded((signal) => searchExperiments(search, signal), [search]);
  const toggle = (id: string) => {
    const next = chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id];
    if (next.length) navigate(["experiments", next.join(",")], route.peek().query);
  };
  return (
    <>
      <input type="search" class="input" placeholder="Search experiments" aria-label="Search experiments" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
      <div class="runs-picker-list">
        {value.map(({ experiment_id: id, name }) => (
          <div key={id} class="runs-picker-line">
            <label class="check-box">
              <input type="checkbox" checked={chosen.includes(id)} disabled={chosen.length === 1 && chosen[0] === id} onChange={() => toggle(id)} />
              <span class="clip" title={name}>
                {name}
              </span>
            </label>
          </div>
        ))}
      </div>
    </>
  );
}
