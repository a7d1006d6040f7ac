// Moving a version to a stage, or asking for it: with a comment, and what was there archived at the same moment.

import { useEffect, useState } from "preact/hooks";
import { Segments } from "../ui/tabs";
import { toast, toastFault } from "../ui/toast";
import { changes, getStages, type ModelVersion } from "./api";
import { Ask, Input, Stage } from "./parts";

export function Transition({ version, close, then }: { version: ModelVersion; close: () => void; then: () => void }) {
  const [stages, setStages] = useState<readonly string[]>([]);
  const [stage, setStage] = useState("");
  const [how, setHow] = useState<"move" | "request">("move");
  const [archive, setArchive] = useState(false);
  const [comment, setComment] = useState("");
  useEffect(() => {
    getStages().then(setStages, toastFault);
  }, []);
  const others = stages.filter((one) => one !== version.current_stage);
  const chosen = stage || (others.find((one) => one === "Production") ?? others[0] ?? "");
  const between = chosen !== "None" && chosen !== "Archived";
  return (
    <Ask
      title={`Version ${version.version} to another stage`}
      action={how === "move" ? `Move to ${chosen}` : `Request ${chosen}`}
      disabled={!chosen}
      close={close}
      submit={async () => {
        if (how === "move") await changes.transition(version.name, version.version, chosen, between && archive, comment);
        else await changes.request(version.name, version.version, chosen, comment);
        toast(how === "move" ? `Version ${version.version} is in ${chosen}` : `${chosen} is requested for version ${version.version}`);
        then();
      }}
    >
      <p class="row">
        It is in <Stage stage={version.current_stage} />
      </p>
      <Segments
        label="How"
        chosen={how}
        choose={setHow}
        choices={[
          { value: "move", label: "Move it" },
          { value: "request", label: "Ask for it" },
        ]}
      />
      <label class="field">
        <span>Stage</span>
        <select class="select" value={chosen} onChange={(event) => setStage(event.currentTarget.value)}>
          {others.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </label>
      <Input label="Comment" value={comment} set={setComment} placeholder="Why" area />
      {how === "move" && between && (
        <label class="check-box">
          <input type="checkbox" checked={archive} onChange={(event) => setArchive(event.currentTarget.checked)} />
          Archive what is in {chosen} now, at the same moment
        </label>
      )}
    </Ask>
  );
}
